// Makes a fresh clone ready: installs and builds when needed, and not again when not. Uses nothing but Node.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { readStamp, stamp } from './stamp.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Merganser needs Node 20.19 or newer; this is ${process.version}.`)
  process.exit(1)
}

if (!isInstalled()) {
  console.error('Installing dependencies (npm ci) …')
  const npm = process.env.npm_execpath // the npm that runs this script, so that Windows finds it too
  const [command, args] = npm ? [process.execPath, [npm, 'ci']] : ['npm', ['ci']]
  const { status, stdout, stderr } = spawnSync(command, [...args, '--no-fund', '--no-audit', '--loglevel=error'], { cwd: root, encoding: 'utf8' })
  if (status !== 0) {
    console.error(stdout, stderr, '\nnpm ci failed: check the network or the registry, then run the command again.')
    process.exit(1)
  }
}
if (readStamp(root) !== stamp(root)) {
  console.error('Building …')
  execFileSync(process.execPath, [`${root}scripts/build.mjs`], { stdio: 'inherit' })
}

/** Whether node_modules holds what package-lock.json asks for: npm leaves a copy of the lock there. */
function isInstalled() {
  const mark = `${root}node_modules/.package-lock.json`
  if (!existsSync(mark)) return false
  const versions = text => Object.entries(JSON.parse(text).packages).filter(([path]) => path !== '')
  const installed = new Map(versions(readFileSync(mark, 'utf8')).map(([path, p]) => [path, p.version]))
  return versions(readFileSync(`${root}package-lock.json`, 'utf8')).every(([path, p]) => p.optional || installed.get(path) === p.version)
}
