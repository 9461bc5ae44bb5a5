import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { layersOf } from '../src/checkpoint/architecture.ts'
import type { Checkpoint } from '../src/checkpoint/checkpoint.ts'
import { METHODS } from '../src/methods/_all.ts'
import { describeMethod } from '../src/methods/_describe.ts'
import { formulaOf } from '../src/plan/formula.ts'
import { parse } from '../src/recipe/parse.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const script = new URL('../scripts/generate.mjs', import.meta.url).href

let files: readonly { readonly path: string; readonly text: string }[] = []
beforeAll(async () => {
  const { generated } = (await import(script)) as { generated: () => Promise<typeof files> } // plain JavaScript
  files = await generated()
})

/** `what` a committed file is, where it is not what the sources give. */
function stale(path: string, text: string): string[] {
  let old: string | null = null
  try {
    old = readFileSync(root + path, 'utf8')
  } catch {}
  return old === text ? [] : [`${path} ${old === null ? 'is missing' : 'is not what the sources give'}: run \`npm run generate\``]
}

test('kernels, registries and pages are what `npm run generate` gives', () => {
  expect(files.flatMap(({ path, text }) => stale(path, text))).toEqual([])
})

test('there is a registry for each kind of file, the kernels, an index and a page for each method', () => {
  const pages = Object.keys(METHODS).map(name => `docs/methods/${name}.md`)
  expect(files.map(f => f.path).toSorted()).toEqual(
    [
      ...pages,
      'docs/methods/README.md',
      'src/diagnose/measures/_all.ts',
      'src/evaluate/engines/_all.ts',
      'src/evaluate/metrics/_all.ts',
      'src/formats/_all.ts',
      'src/kernels/_wasm.ts',
      'src/methods/_all.ts',
      'src/presets/_all.ts',
      'src/search/strategies/_all.ts',
    ].toSorted(),
  )
})

test('no page is left of a method that is no more', () => {
  const written = files.map(f => f.path)
  expect(readdirSync(`${root}docs/methods`).filter(name => !written.includes(`docs/methods/${name}`))).toEqual([])
})

describe.each(Object.entries(METHODS))('the page of %s', (name, method) => {
  const text = (): string => files.find(f => f.path === `docs/methods/${name}.md`)!.text
  const example = describeMethod(name, method)
  /** A block of the example by the words above it, without its indentation. */
  const block = (after: string): string => example.recipe.split(`${after}:\n\n`)[1]!.split('\n\n')[0]!.replaceAll(/^ {4}/gm, '')

  test('says what the method is, what its parameters mean and where it comes from', () => {
    for (const part of [`# ${name}\n`, method.summary, method.about, ...(method.paper ? [method.paper] : []), ...(method.ignored ?? [])]) expect(text()).toContain(part)
    for (const [param, { doc }] of Object.entries(method.params)) {
      expect(text()).toContain(`| \`${param}\` |`)
      expect(text()).toContain(doc.replaceAll('|', '\\|'))
    }
  })

  // Models of one tensor with 1,000 elements, of the shape that the page says.
  const modelled = (...names: string[]): ReadonlyMap<string, Checkpoint> =>
    new Map(
      names.map(model => {
        const entry = { name: 'w', dtype: 'F32', shape: example.formula.shape, start: 0, end: 4000, file: 0 }
        return [model, { tensors: new Map([['w', entry]]), layers: layersOf(['w']), architecture: null, config: null } as unknown as Checkpoint] // what a formula looks at
      }),
    )

  test('shows recipes that can be read, and the formula which both of them compute', () => {
    const besides = Object.entries(example.formula.besides)
    const yaml = parse([block('As a mergekit recipe'), ...(besides.length > 0 ? [`parameters: { ${besides.map(([k, v]) => `${k}: ${v}`).join(', ')} }`] : [])].join('\n'))
    const expression = parse(
      block('As an expression')
        .trimEnd()
        .replace(/\)$/, `${besides.map(([k, v]) => `, ${k}=${v}`).join('')})`),
      {
        models: { base: 'models/base', code: 'models/code', math: 'models/math' },
      },
    )
    for (const recipe of [yaml, expression]) {
      const formula = formulaOf(recipe, modelled(...Object.keys(recipe.models)), 'w').replaceAll('models/', '')
      expect(formula).toBe(example.formula.lines)
    }
    expect(text()).toContain(`\n${example.formula.lines}\n`)
  })
})
