import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'vitest'
import { parse } from './parse.ts'

const tryit = (label: string, f: () => any) => {
  try {
    const r = f()
    console.log(`== ${label}\nOK ${r.notes.map((n: any) => '\n  note: ' + n.text + ' @' + n.at?.line + ':' + n.at?.column).join('')}`)
  } catch (e) {
    console.log(`== ${label}\n` + ((e as Error).name === 'MergeError' ? (e as Error).message : (e as Error).stack))
  }
}
test('x', () => {
  for (const g of ['errors', 'cases'])
    for (const d of readdirSync('test/golden/' + g)) tryit(g + '/' + d, () => parse(readFileSync(`test/golden/${g}/${d}/recipe.yml`, 'utf8'), { name: 'recipe.yml' }))
})
test('e', () => {
  const models = { base: 'b', code: 'c', math: 'm', 'my-model': 'x' }
  for (const t of [
    'base + math',
    'base + 0.5*math',
    '0.5*math',
    '2*math',
    'base+code+math',
    '0.5*base+0.4*code',
    'code - base',
    '',
    '2x',
    'base *** 2',
    'base ^ 2',
    'bse',
    'my-model',
    'ties(code, math)',
    'ties(code, math, density=0.2)',
    'ties(code, math, base=base)',
    'slerp(a,b)',
    'slerp(code, math)',
    'slerp(code, base=base, t=.5)',
    'tie(code)',
    'code(math)',
    '(base',
    'base)',
    'base math',
    'base +',
    '* base',
    'linear(base,)',
    'linear(weight=1, base)',
    'linear(base, weight=(1,2))',
    'linear(base, code, weight=1, weight=2)',
    '1e999*base',
    '('.repeat(300),
    'base + [0.2, 0.8]*code',
    '[0.2,0.8]*base + [0.8,0.2]*code',
    '[0.2,0.8]*base + [0.8,0.3]*code',
    'base*code',
    'base/code',
    'base/0',
    'base + 1',
    'ties(code - base, math)',
    'base + ties(code - base, math - base, density=20)',
    'base + ties(code - base, rescale=papr)',
    '3',
    'base − 0.5·(code – base)',
    'base - 0.5*(code - base) %',
    'ties(code-base, base=base)',
    'ties(0.5*code, base=base)',
    'linear(base, lambda=(1,2), code)',
    'linear(base, code, t=(1,2))',
    'linear(base, code, weight=(1,-1))',
    'slerp(code, math, t=(1,2))',
    'passthrough(base, code)',
    'ties()',
    '[] * base',
    '[1 2]*base',
    '[a]*base',
    '[1,2',
    'x = base',
    'base, code',
    '“base”',
    '"base',
    'linear(base, weight=)',
    'linear(base, weight',
    'linear(base, nope=3)',
    'linear(base, density=3)',
    'linear(base, seed=3)',
  ])
    tryit(t.slice(0, 60), () => parse(t, { models }))
})
