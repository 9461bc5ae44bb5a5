import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { curves, dotPlot, ticksOf } from '../src/report/charts.ts'
import { htmlTable, text } from '../src/report/markup.ts'
import { type EvaluationJson, reportPage } from '../src/report/page.ts'
import { f32, merganser, writeModel } from './command.ts'

// The report: one HTML file, whatever is in it.

const folder = mkdtempSync(join(tmpdir(), 'merganser-report-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const run = (...args: readonly string[]) => merganser(args, folder)
for (const [i, name] of ['base', 'code'].entries()) writeModel(join(folder, name), { w: f32([i, 2, 3]) }, { 'config.json': '{"architectures": ["Toy"]}' })

const HOSTILE = '<script>alert("1")</script>&\u0007'
const scores = (names: readonly string[], values: readonly number[], better: 'higher' | 'lower' = 'higher'): EvaluationJson => ({
  suite: 'toys',
  split: 'test',
  notes: [HOSTILE],
  models: names.map((name, i) => ({
    name,
    source: name,
    tasks: [{ task: 'signs', metric: 'accuracy', value: values[i]!, interval: { low: values[i]! - 0.1, high: values[i]! + 0.1 }, better, unit: '%', examples: 20 }],
  })),
})

describe('merganser report', () => {
  test('puts recipe, inputs, scores and what is kept on one page that needs nothing else', async () => {
    expect(await run('merge', 'base + 0.5*(code - base)', 'out', '--model', 'base=base', '--model', 'code=code')).toMatchObject({ code: 0 })
    writeFileSync(join(folder, 'scores.json'), JSON.stringify(scores(['base', 'code', 'out'], [0.5, 0.9, 0.8])))
    expect(await run('report', 'out', 'scores.json', '-o', 'report.html')).toMatchObject({ code: 0, stdout: '✓ report.html\n', stderr: '' })
    const html = readFileSync(join(folder, 'report.html'), 'utf8')
    expect(html).toContain('merge: &quot;base + 0.5*(code - base)&quot;')
    expect(html).toMatch(/<td>code<\/td><td>code<\/td><td>model\.safetensors<\/td><td>sha256:[0-9a-f]{16}…<\/td>/)
    expect(html).toContain('<td class="number">80.0 [70.0, 90.0]</td>')
    expect(html).toContain('<title>out: 75 %</title>') // of the gain from 50 to 90
    expect(html).not.toMatch(/<script|https?:|src=|href=/)
  })

  test('does not replace a file unasked, and says what it cannot read', async () => {
    writeFileSync(join(folder, 'taken.html'), 'mine')
    writeFileSync(join(folder, 'other.json'), '{"suite": 3}')
    const cases: readonly (readonly [readonly string[], string])[] = [
      [['report', 'base', '-o', 'taken.html'], 'error: taken.html exists\n  fix: choose another name, or replace it with --force\n'],
      [['report', 'base'], 'error: --out is missing\n  fix: write `merganser report MODEL scores.json -o report.html`\n'],
      [['report', 'other.json', '-o', 'x.html'], 'error: other.json holds no evaluation\n  fix: give what `merganser evaluate … --json` prints\n'],
    ]
    for (const [args, message] of cases) expect((await run(...args)).stderr).toBe(message)
    expect(readFileSync(join(folder, 'taken.html'), 'utf8')).toBe('mine')
    expect(await run('report', 'base', '-o', 'taken.html', '--force')).toMatchObject({ code: 0 })
    expect(readFileSync(join(folder, 'taken.html'), 'utf8')).toContain('Merganser has not merged it')
  })
})

describe('what names and notes hold is never markup', () => {
  test('in a page', () => {
    const html = reportPage({ models: [], evaluations: [scores([HOSTILE, 'b', 'c'], [0.1, 0.2, 0.3])], others: [] })
    expect(html).not.toContain('<script')
    expect(html).not.toContain('\u0007')
  })

  test('in text, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), s => {
        expect(text(s)).not.toMatch(/[<>"']|&(?!amp;|lt;|gt;|quot;|#39;)/)
        expect(htmlTable([['a'], [s]])).toContain(`<td>${text(s)}</td>`)
      }),
    )
  })
})

describe('charts', () => {
  test('where less is better the share counts downwards', () => {
    const html = reportPage({ models: [], evaluations: [scores(['base', 'code', 'both'], [2, 1, 1.25], 'lower')], others: [] })
    expect(html).toContain('<title>both: 75 %</title>')
  })

  test('place every mark within the picture, also when all are equal', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 8 }), values => {
        const svg = dotPlot(
          values.map((value, i) => ({ name: `m${i}`, value, low: null, high: null })),
          String,
        )
        for (const [, x] of svg.matchAll(/cx="([^"]*)"/g)) expect(Number(x)).toBeGreaterThanOrEqual(0)
        for (const [, x] of svg.matchAll(/cx="([^"]*)"/g)) expect(Number(x)).toBeLessThanOrEqual(720)
      }),
    )
    expect(curves([{ name: 'a', points: [[0.5, 1]] }], { variable: 'lambda', chosen: 0.5, spell: String })).not.toContain('NaN')
  })

  test('ticks are round numbers within the range', () => {
    expect(ticksOf(0, 1)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1])
    expect(ticksOf(1.79, 1.97)).toEqual([1.8, 1.85, 1.9, 1.95])
    expect(ticksOf(-3, 12)).toEqual([0, 5, 10])
    expect(ticksOf(5, 5)).toEqual([5])
  })
})
