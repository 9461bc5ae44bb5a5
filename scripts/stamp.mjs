// A fingerprint of what the build reads, so that a second `npm test` does not build again.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

export function stamp(root) {
  const hash = createHash('sha256')
  const add = path => hash.update(path).update(readFileSync(root + path))
  const walk = folder => {
    for (const entry of readdirSync(root + folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.isDirectory()) walk(`${folder}/${entry.name}`)
      else if (!entry.name.endsWith('.test.ts')) add(`${folder}/${entry.name}`)
    }
  }
  walk('src')
  for (const path of ['tsconfig.json', 'package.json', 'scripts/build.mjs']) add(path)
  return hash.digest('hex')
}

export const writeStamp = (root, value) => writeFileSync(`${root}dist/.stamp`, value)
export function readStamp(root) {
  try {
    return readFileSync(`${root}dist/.stamp`, 'utf8')
  } catch {
    return ''
  }
}
