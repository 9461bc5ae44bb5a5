import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import * as api from '../src/index.ts'
import { REPOSITORY, temporaryFolder } from './front.ts'

// Every example in README.md, in docs/evaluation.md and in the docstrings of public functions runs as it stands.

const folder = temporaryFolder()
const LIBRARY = pathToFileURL(join(REPOSITORY, 'dist/index.js')).href
beforeAll(() => symlinkSync(join(REPOSITORY, 'zoo'), join(folder, 'zoo')))

function runs(code: string): void {
  rmSync(join(folder, 'out'), { recursive: true, force: true })
  writeFileSync(join(folder, 'example.mjs'), code)
  const { status, stderr } = spawnSync(process.execPath, ['example.mjs'], { cwd: folder, encoding: 'utf8' })
  expect(stderr).toBe('')
  expect(status).toBe(0)
}

describe.each(['README.md', 'docs/evaluation.md'])('%s', page => {
  const blocks = [...readFileSync(join(REPOSITORY, page), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(m => m[1]!)
  for (const [i, code] of blocks.entries()) test(`example ${i + 1}`, () => runs(code.replaceAll("'merganser'", `'${LIBRARY}'`)))
  test('has examples', () => expect(blocks.length).toBeGreaterThanOrEqual(1))
})

const FUNCTIONS = Object.entries(api).flatMap(([name, value]) => (typeof value === 'function' && name !== 'MergeError' ? [name] : []))

describe('docstrings', () => {
  const sources = readdirSync(join(REPOSITORY, 'src'), { recursive: true, encoding: 'utf8' })
    .filter(f => f.endsWith('.ts') && !f.endsWith('.test.ts') && !f.includes('assembly'))
    .map(f => readFileSync(join(REPOSITORY, 'src', f), 'utf8'))
  for (const name of FUNCTIONS) {
    test(name, () => {
      const found = sources.flatMap(s => [...s.matchAll(new RegExp(`/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\nexport (?:async )?function\\*? ${name}\\(`, 'g'))]).map(m => m[1]!)
      expect(found, `one docstring above ${name}`).toHaveLength(1)
      const example = found[0]!.split('@example')[1]
      expect(example, `an @example in the docstring of ${name}`).toBeDefined()
      const code = example!.replaceAll(/^ \* ?/gm, '')
      runs(`import { ${FUNCTIONS.join(', ')} } from '${LIBRARY}'\n${code}`)
    })
  }
})
