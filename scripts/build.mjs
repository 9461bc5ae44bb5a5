// src → dist. tsc writes the library and its types; the command line is bundled over them, since a start that opens a hundred files takes twice as
// long as the merge of a small model. Kernels and registries are committed, so this needs no AssemblyScript: `npm run generate` makes them anew.
import { execFileSync } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { stamp, writeStamp } from './stamp.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
/** Bundled: small, and needed by every command. The others are loaded when used. */
const BUNDLED = ['yaml', 'fastest-levenshtein']

const before = stamp(root)
rmSync(`${root}dist`, { recursive: true, force: true })
try {
  execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', `${root}tsconfig.json`], { stdio: 'inherit' })
} catch {
  process.exit(1) // tsc has said what is wrong
}
await bundleCommandLine()
writeFileSync(`${root}dist/cli/LICENSES.txt`, BUNDLED.map(licenseOf).join('\n\n'))
chmodSync(`${root}dist/cli/main.js`, 0o755)
writeStamp(root, before)

/** dist/cli/main.js and the workers beside it, with what they share; everything stays as deep as it was, as paths to package.json and zoo/ are relative. */
async function bundleCommandLine() {
  const input = { main: `${root}dist/cli/main.js`, worker: `${root}dist/execute/worker.js`, search_worker: `${root}dist/search/worker.js` }
  const bundle = await rolldown({ input, platform: 'node', external: [/^node:/, 'onnxruntime-web', '@huggingface/tokenizers'], logLevel: 'warn' })
  await bundle.write({ dir: `${root}dist/cli`, format: 'esm', entryFileNames: '[name].js', chunkFileNames: '_[name]-[hash].js' })
  await bundle.close()
}

function licenseOf(name) {
  const folder = `${root}node_modules/${name}`
  const file = readdirSync(folder).find(f => /^licen[cs]e/i.test(f))
  return `${name}\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`
}
