import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openReader } from '../../src/bytes/file.ts'
import type { Locator } from '../../src/bytes/source.ts'
import { open } from '../../src/checkpoint/checkpoint.ts'
import { MergeError } from '../../src/errors.ts'
import { cases, type Files, nonfinite } from './make.ts'

// A folder in files/ is a test: `model` in it is opened, and the error must be expected.txt to the letter, its folder written `<case>`.
// MAKE_HOSTILE=1 writes what make.ts describes, and the messages of new cases, which are then to be read and judged.
const FILES = join(import.meta.dirname, 'files')
const NONFINITE = join(import.meta.dirname, 'nonfinite')
if (process.env.MAKE_HOSTILE) await makeAll()

describe('hostile checkpoints are refused', () => {
  for (const name of readdirSync(FILES)) {
    test(name, async () => {
      const folder = join(FILES, name)
      expect(`${await messageOf(folder)}\n`).toBe(readFileSync(join(folder, 'expected.txt'), 'utf8'))
    })
  }
})

describe('models with NaN and infinity open; merging them is another matter', () => {
  for (const name of readdirSync(NONFINITE)) {
    test(name, async () => {
      const { tensors, files } = await open(join(NONFINITE, name, 'model'))
      expect([...tensors.keys()]).toEqual(['fine.weight', 'broken.weight'])
      const broken = tensors.get('broken.weight')
      const file = files[0]
      if (!broken || !file) throw new Error('the tensor is there, by the line above')
      const bytes = new Uint8Array(broken.end - broken.start)
      const reader = openReader(file.locator as Locator) // of a folder's files each lies somewhere
      await reader.read(bytes, broken.start)
      reader.close()
      const width = bytes.length / 4
      const element = (i: number): number[] => [...bytes.subarray(i * width, (i + 1) * width)]
      expect(element(2)).not.toEqual(element(1))
      expect(element(3)).toEqual(element(1))
    })
  }
})

test('the committed files are those of make.ts', () => {
  for (const [root, made] of [
    [FILES, cases()],
    [NONFINITE, nonfinite()],
  ] as const) {
    for (const [name, files] of Object.entries(made)) {
      for (const [path, content] of Object.entries(files)) {
        expect(Buffer.compare(readFileSync(join(root, name, path)), Buffer.from(content)), `${name}/${path}`).toBe(0)
      }
    }
  }
})

async function messageOf(folder: string): Promise<string> {
  try {
    await open(join(folder, 'model'))
  } catch (error) {
    if (!(error instanceof MergeError)) throw error
    return error.message.replaceAll(folder, '<case>')
  }
  return 'no error'
}

async function makeAll(): Promise<void> {
  write(FILES, cases())
  write(NONFINITE, nonfinite())
  for (const name of readdirSync(FILES)) {
    const expected = join(FILES, name, 'expected.txt')
    if (!existsSync(expected)) writeFileSync(expected, `${await messageOf(join(FILES, name))}\n`)
  }
}

function write(root: string, made: Readonly<Record<string, Files>>): void {
  for (const [name, files] of Object.entries(made)) {
    for (const [path, content] of Object.entries(files)) {
      const to = join(root, name, path)
      mkdirSync(dirname(to), { recursive: true })
      writeFileSync(to, content)
    }
  }
}
