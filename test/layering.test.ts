import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

// A folder imports only folders to its left; those between two bars do not know each other (ARCHITECTURE.md). `.` are the files of src itself.
const LAYERS: readonly (readonly string[])[] = [
  ['.'],
  ['bytes', 'algebra'],
  ['formats', 'kernels', 'methods'],
  ['checkpoint', 'recipe'],
  ['plan'],
  ['execute'],
  ['diagnose'],
  ['evaluate'],
  ['search'],
  ['presets'],
  ['report'],
  ['cli', 'studio', 'index.ts'],
]

/** The places that know they run in Node. */
const NODE = [/^bytes\/(file|folder|store|_\w+)\.ts$/, /^(execute|search)\/(pool|worker)\.ts$/, /^evaluate\/engines\/_process\.ts$/, /^cli\//]

interface Import {
  readonly from: string
  /** Gone after compiling. */
  readonly isType: boolean
}

/** Everything a source imports: statements, re-exports, `import()`. Comments are no imports. */
function importsOf(source: string): readonly Import[] {
  const code = source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
  const statements = [...code.matchAll(/^\s*(?:import|export)\s+(type\s+)?(?:[^'"`;=]*?\sfrom\s+)?['"]([^'"]+)['"]/gm)]
  const calls = [...code.matchAll(/\bimport\(\s*['"`]([^'"`]+)['"`]/g)]
  return [...statements.map(m => ({ from: m[2]!, isType: m[1] !== undefined })), ...calls.map(m => ({ from: m[1]!, isType: false }))]
}

const folderOf = (path: string): string => (path === 'index.ts' ? path : path.includes('/') ? path.slice(0, path.indexOf('/')) : '.')
const layerOf = (folder: string): number => LAYERS.findIndex(layer => layer.includes(folder))

/** What a file of src, at `path` within it, must not import. */
function violations(path: string, source: string): string[] {
  const folder = folderOf(path)
  const own = layerOf(folder)
  if (own < 0) return [`${path}: ${folder}/ has no layer: give it one in layering.test.ts and ARCHITECTURE.md`]
  return importsOf(source).flatMap(({ from, isType }) => {
    const wrong = (why: string): string[] => [`${path} imports ${from}: ${why}`]
    if (from.startsWith('node:'))
      return NODE.some(place => place.test(path))
        ? []
        : wrong('only bytes/file, folder, store and their parts, pool and worker of execute and search, evaluate/engines/_process and cli/ know Node')
    if (!from.startsWith('.')) return []
    const target = posix.join(posix.dirname(path), from)
    const there = folderOf(target)
    const name = posix.basename(target)
    if (target.startsWith('..')) return wrong('it lies outside src')
    if (layerOf(there) < 0) return wrong(`${there}/ has no layer`)
    if (there !== folder && layerOf(there) >= own) return wrong(`${there === '.' ? 'src' : there} does not lie to the left of ${folder}`)
    if (there !== folder && name.startsWith('_') && name !== '_all.ts' && name !== '_describe.ts') return wrong('a file with an underscore is private to its folder')
    if (there === 'kernels' && folder !== 'kernels' && folder !== 'execute' && path !== 'plan/whole.ts')
      return wrong('only execute runs kernels, and only plan/whole.ts asks them for sizes')
    if (folder === 'plan' && there === 'bytes' && !isType) return wrong('a plan reads nothing: it may know only the types of bytes')
    const isMethod = folder === 'methods' && !posix.basename(path).startsWith('_')
    if (isMethod && !(there === 'algebra' || target === 'methods/method.ts' || (there === 'methods' && name.startsWith('_')))) {
      return wrong('a method imports algebra, method.ts and _*.ts')
    }
    return []
  })
}

const src = fileURLToPath(new URL('../src', import.meta.url))
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .map(path => path.replaceAll('\\', '/'))
  .filter(path => path.endsWith('.ts') && !path.endsWith('.test.ts') && !path.startsWith('kernels/assembly/')) // AssemblyScript has its own imports

test('every import goes to the left', () => {
  expect(files.length).toBeGreaterThan(50)
  expect(files.flatMap(path => violations(path, readFileSync(join(src, path), 'utf8')))).toEqual([])
})

test('every import is read: what is resolved leads to a file', () => {
  const known = new Set(files)
  const lost = files.flatMap(path =>
    importsOf(readFileSync(join(src, path), 'utf8'))
      .filter(i => i.from.startsWith('.'))
      .map(i => posix.join(dirname(path), i.from))
      .filter(target => !known.has(target)),
  )
  expect(lost).toEqual([])
  const count = files.reduce((total, path) => total + importsOf(readFileSync(join(src, path), 'utf8')).length, 0)
  const lines = files.reduce((total, path) => total + (readFileSync(join(src, path), 'utf8').match(/ from '|^import '|[^.\w]import\('/gm)?.length ?? 0), 0)
  expect(count).toBeGreaterThan(0.95 * lines) // the words occur in messages too
})

// The rules on made-up sources: a checker that lets everything pass would pass the tests above.
test.each([
  ['algebra/tensor.ts', "import { plan } from '../plan/plan.ts'", 'plan does not lie to the left of algebra'],
  ['algebra/tensor.ts', "import { openFile } from '../bytes/file.ts'", 'bytes does not lie to the left of algebra'],
  ['algebra/tensor.ts', "export { METHODS } from '../methods/_all.ts'", 'methods does not lie to the left of algebra'],
  ['formats/gguf.ts', "import type { Kernels } from '../kernels/kernels.ts'", 'kernels does not lie to the left of formats'],
  ['checkpoint/checkpoint.ts', "import {\n  type Recipe,\n  x,\n} from '../recipe/recipe.ts'", 'recipe does not lie to the left of checkpoint'],
  ['dtype.ts', "import { Tensor } from './algebra/tensor.ts'", 'algebra does not lie to the left of .'],
  ['cli/main.ts', "import * as all from '../index.ts'", 'index.ts does not lie to the left of cli'],
  ['execute/pool.ts', "const { report } = await import('../report/report.ts')", 'report does not lie to the left of execute'],
  ['methods/ties.ts', "import { sizeOf } from '../dtype.ts'", 'a method imports algebra, method.ts and _*.ts'],
  ['methods/ties.ts', "import linear from './linear.ts'", 'a method imports algebra, method.ts and _*.ts'],
  ['plan/plan.ts', "import { createEngine } from '../kernels/kernels.ts'", 'only execute runs kernels'],
  ['evaluate/engine.ts', "import type { Engine } from '../kernels/kernels.ts'", 'only execute runs kernels'],
  ['report/report.ts', "import '../kernels/kernels.ts'", 'only execute runs kernels'],
  ['search/search.ts', "import { WASM } from '../kernels/kernels.ts'", 'only execute runs kernels'],
  ['cli/merge.ts', "import { NONFINITE } from '../kernels/kernels.ts'", 'only execute runs kernels'],
  ['plan/plan.ts', "import { openFile } from '../bytes/file.ts'", 'a plan reads nothing'],
  ['plan/plan.ts', "import { own } from '../checkpoint/_files.ts'", 'private to its folder'],
  ['bytes/source.ts', "import { openSync } from 'node:fs'", 'know Node'],
  ['execute/execute.ts', "import { cpus } from 'node:os'", 'know Node'],
  ['evaluate/load.ts', 'import { readFile } from "node:fs/promises"', 'know Node'],
  ['evaluate/load.ts', "const fs = await import('node:fs')", 'know Node'],
  ['bytes/source.ts', "import { x } from '../../test/floats.ts'", 'outside src'],
  ['helpers/helpers.ts', "import { x } from './y.ts'", 'has no layer'],
])('%s must not say %s', (path, source, why) => {
  expect(violations(path, `/** A file. */\n${source}\n`)).toEqual([expect.stringContaining(why)])
})

test.each([
  ['methods/ties.ts', "import { where } from '../algebra/tensor.ts'\nimport { combine } from './_consensus.ts'\nimport { defineMethod } from './method.ts'"],
  ['methods/_sparsify.ts', "import { sizeOf } from '../dtype.ts'"],
  ['plan/plan.ts', "import type { Locator } from '../bytes/source.ts'\nimport type { Recipe } from '../recipe/recipe.ts'\nimport { open } from '../checkpoint/checkpoint.ts'"],
  ['execute/runner.ts', "import { createEngine } from '../kernels/kernels.ts'\nimport { compile } from '../plan/passes.ts'"],
  ['execute/worker.ts', "import { parentPort } from 'node:worker_threads'"],
  ['search/pool.ts', "import { Worker } from 'node:worker_threads'"],
  ['cli/demo.ts', "import { cpus } from 'node:os'\nimport { loadMerged } from '../evaluate/load.ts'"],
  ['evaluate/engine.ts', "const { env } = await import('onnxruntime-web')"],
  ['index.ts', "export { plan } from './plan/plan.ts'"],
  ['bytes/source.ts', "/** @example\n * import { readFile } from 'node:fs/promises'\n */\n// import { x } from '../plan/plan.ts'"],
])('%s may say %s', (path, source) => {
  expect(violations(path, source)).toEqual([])
})
