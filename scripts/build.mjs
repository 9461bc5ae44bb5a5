// src → dist with tsc. Kernels and registries are committed, so this needs no AssemblyScript: `npm run generate` makes them anew.
import { execFileSync } from 'node:child_process'
import { chmodSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { stamp, writeStamp } from './stamp.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const before = stamp(root)
rmSync(`${root}dist`, { recursive: true, force: true })
try {
  execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', `${root}tsconfig.json`], { stdio: 'inherit' })
} catch {
  process.exit(1) // tsc has said what is wrong
}
chmodSync(`${root}dist/cli/main.js`, 0o755)
writeStamp(root, before)
