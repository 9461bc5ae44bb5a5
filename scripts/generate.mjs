// Folder → registry: writes the _all.ts of methods, formats and presets from what lies in the folders, so that adding a method is adding a file;
// compiles the kernels into src/kernels/_wasm.ts; and writes docs/methods from what the methods say of themselves.
// What it writes is committed; test/generated.test.ts checks that it is what the sources give. Needs no build: dist is neither read nor written.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import asc from 'assemblyscript/asc'

const root = fileURLToPath(new URL('..', import.meta.url))
const REGISTRIES = [
  { folder: 'methods', skip: ['method.ts'], exported: 'METHODS', type: 'AnyMethod', from: './method.ts', doc: 'Every merge method by its recipe name: the files of this folder.' },
  { folder: 'formats', skip: ['format.ts'], exported: 'FORMATS', type: 'Format', from: './format.ts', doc: 'Every checkpoint format: the files of this folder.' },
  {
    folder: 'evaluate/engines',
    skip: ['engine.ts'],
    exported: 'ENGINES',
    type: 'Engine',
    from: './engine.ts',
    doc: 'Every engine by the name that suites use: the files of this folder.',
  },
  {
    folder: 'evaluate/metrics',
    skip: ['metric.ts'],
    exported: 'METRICS',
    type: 'AnyMetric',
    from: './metric.ts',
    doc: 'Every metric by the name that suites use: the files of this folder.',
  },
  { folder: 'presets', skip: ['preset.ts'], exported: 'PRESETS', type: 'Preset', from: './preset.ts', doc: 'Every preset: the files of this folder.' },
]
const HEADER = '// Written by `npm run generate`. Do not edit.'
const DOCS = 'docs/methods'

const namesIn = ({ folder, skip }) =>
  readdirSync(`${root}src/${folder}`)
    .filter(f => f.endsWith('.ts') && !f.endsWith('.test.ts') && !f.startsWith('_') && !skip.includes(f))
    .map(f => f.slice(0, -3))
    .sort()

/** A file's name as a name in code: `reward-vision` is rewardVision there. */
const identifier = name => name.replace(/-(\w)/g, (_, letter) => letter.toUpperCase())

function registries() {
  return REGISTRIES.map(({ folder, skip, exported, type, from, doc }) => {
    const names = namesIn({ folder, skip })
    const imports = [{ line: `import type { ${type} } from '${from}'`, path: from }, ...names.map(n => ({ line: `import ${identifier(n)} from './${n}.ts'`, path: `./${n}.ts` }))]
    imports.sort((a, b) => (a.path.slice(0, -3) < b.path.slice(0, -3) ? -1 : 1)) // `reward` before `reward-vision`, as the formatter has it
    const property = n => (identifier(n) === n ? n : `'${n}': ${identifier(n)}`)
    const entries = `{\n${names.map(n => `  ${property(n)},\n`).join('')}}`
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
    .filter(f => f.endsWith('.ts') && !f.startsWith('_'))
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

/** One page per method and an index of them. The sources are compiled for the purpose, so the pages never describe an old build. */
async function docs() {
  const out = mkdtempSync(join(tmpdir(), 'merganser-docs-'))
  try {
    writeFileSync(join(out, 'package.json'), '{ "type": "module" }')
    // Types are the build's business; and only methods and algebra are run, which import nothing from elsewhere.
    execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', `${root}tsconfig.json`, '--outDir', out, '--noCheck', '--declaration', 'false'], {
      stdio: 'inherit',
    })
    const load = name => import(pathToFileURL(join(out, 'methods', `${name}.js`)).href)
    const { describeMethod } = await load('_describe')
    const names = namesIn(REGISTRIES.find(r => r.folder === 'methods'))
    const methods = await Promise.all(names.map(async name => ({ name, method: (await load(name)).default })))
    const pages = methods.map(({ name, method }) => ({ path: `${DOCS}/${name}.md`, text: page(name, method, describeMethod(name, method)) }))
    return [{ path: `${DOCS}/README.md`, text: index(methods) }, ...pages]
  } finally {
    rmSync(out, { recursive: true })
  }
}

const NOTE = '<!-- Written by `npm run generate` from src/methods. Do not edit. -->'

function page(name, method, { title, about, paper, use, rows, recipe, formula }) {
  const ignored = method.ignored?.length ? `\nOther tools’ recipes also set ${method.ignored.map(p => `\`${p}\``).join(', ')}: accepted, without effect.\n` : ''
  const parameters = rows.length > 0 ? tableOf([['Parameter', 'For', 'Default', 'Range', 'Meaning'], ...rows.map(([param, ...rest]) => [`\`${param}\``, ...rest])]) : 'None.\n'
  return `${NOTE}
# ${name}

${title}

${about}

${paper ? `Paper: <${paper}>\n\n` : ''}${use}

## Parameters

${parameters}${ignored}
## Recipe

${recipe}
## Formula

What the recipe above computes, for ${formula.of}. For a recipe of your own: \`merganser plan RECIPE --formula --tensor NAME\`.

\`\`\`
${formula.lines}
\`\`\`
`
}

function index(methods) {
  const link = paper => (paper ? `[paper](${paper})` : '')
  const rows = methods.map(({ name, method }) => [
    `[${name}](${name}.md)`,
    method.summary,
    Object.keys(method.params)
      .map(p => `\`${p}\``)
      .join(', '),
    link(method.paper),
  ])
  return `${NOTE}\n# Merge methods\n\nThe same on the command line: \`merganser methods\`, \`merganser methods NAME\`.\n\n${tableOf([['Method', 'What it does', 'Parameters', ''], ...rows])}`
}

/** A Markdown table; a bar within a cell is escaped. */
function tableOf([head, ...rows]) {
  const line = cells => `| ${cells.map(c => c.replaceAll('|', '\\|')).join(' | ')} |`
  return `${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}\n`
}

/** Every generated file with the text it should have. */
export const generated = async () => [...registries(), await kernels(), ...(await docs())]

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = await generated()
  for (const { path, text } of files) {
    let old = ''
    try {
      old = readFileSync(root + path, 'utf8')
    } catch {}
    if (old === text) continue
    mkdirSync(dirname(root + path), { recursive: true })
    writeFileSync(root + path, text)
    console.log(`wrote ${path}`)
  }
  for (const name of readdirSync(root + DOCS)) {
    const path = `${DOCS}/${name}`
    if (files.some(f => f.path === path)) continue
    rmSync(root + path) // the page of a method that is no more
    console.log(`removed ${path}`)
  }
}
