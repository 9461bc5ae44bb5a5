// Folder → registry: writes src/methods/_all.ts and src/formats/_all.ts from what lies in the folders, so that adding a method is adding a file;
// and compiles the kernels into src/kernels/_wasm.ts. What it writes is committed; test/generated.test.ts checks that it is what the sources give.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import asc from 'assemblyscript/asc'

const root = fileURLToPath(new URL('..', import.meta.url))
const REGISTRIES = [
  { folder: 'methods', skip: ['method.ts'], exported: 'METHODS', type: 'AnyMethod', from: './method.ts', doc: 'Every merge method by its recipe name: the files of this folder.' },
  { folder: 'formats', skip: ['format.ts'], exported: 'FORMATS', type: 'Format', from: './format.ts', doc: 'Every checkpoint format: the files of this folder.' },
]
const HEADER = '// Written by `npm run generate`. Do not edit.'

function registries() {
  return REGISTRIES.map(({ folder, skip, exported, type, from, doc }) => {
    const names = readdirSync(`${root}src/${folder}`)
      .filter(f => f.endsWith('.ts') && !f.endsWith('.test.ts') && !f.startsWith('_') && !skip.includes(f))
      .map(f => f.slice(0, -3))
      .sort()
    const imports = [{ line: `import type { ${type} } from '${from}'`, path: from }, ...names.map(n => ({ line: `import ${n} from './${n}.ts'`, path: `./${n}.ts` }))]
    imports.sort((a, b) => (a.path < b.path ? -1 : 1))
    const entries = `{\n${names.map(n => `  ${n},\n`).join('')}}`
    const short = `{ ${names.join(', ')} }` // what the formatter makes of a short list
    const text = [
      HEADER,
      ...imports.map(i => i.line),
      '',
      `/** ${doc} */`,
      `export const ${exported}: Readonly<Record<string, ${type}>> = ${names.length < 3 ? short : entries}`,
      '',
    ].join('\n')
    return { path: `src/${folder}/_all.ts`, text }
  })
}

/** The kernels as a base64 module: it travels in the package like any other source, and needs no loader in a browser. */
async function kernels() {
  const folder = 'src/kernels/assembly'
  const entries = readdirSync(root + folder)
    .filter(f => f.endsWith('.ts'))
    .sort()
    .map(f => `${folder}/${f}`)
  const out = mkdtempSync(join(tmpdir(), 'merganser-kernels-'))
  try {
    const flags = ['--enable', 'simd,bulk-memory', '--runtime', 'stub', '--importMemory', '--noExportMemory', '--noAssert', '-O3', '--converge']
    const { error, stderr } = await asc.main([...entries, '--baseDir', root, '-o', join(out, 'kernels.wasm'), ...flags])
    if (error) throw new Error(`${error.message}\n${stderr}`)
    const base64 = readFileSync(join(out, 'kernels.wasm')).toString('base64')
    return { path: 'src/kernels/_wasm.ts', text: `${HEADER}\n/** The compiled kernels of ./assembly, base64. */\nexport const WASM =\n  '${base64}'\n` }
  } finally {
    rmSync(out, { recursive: true })
  }
}

/** Every generated file with the text it should have. */
export const generated = async () => [...registries(), await kernels()]

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { path, text } of await generated()) {
    let old = ''
    try {
      old = readFileSync(root + path, 'utf8')
    } catch {}
    if (old === text) continue
    writeFileSync(root + path, text)
    console.log(`wrote ${path}`)
  }
}
