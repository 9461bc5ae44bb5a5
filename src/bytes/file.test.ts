import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MergeError } from '../errors.ts'
import { fileError, findPath, listFolder, openFile, openReader, readText, statPath } from './file.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'merganser-file-'))
  writeFileSync(join(folder, 'ten'), Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
  mkdirSync(join(folder, 'sub'))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('openFile', () => {
  test('reads ranges', async () => {
    const source = await openFile(join(folder, 'ten'), 'ten')
    expect([source.name, source.size, source.locator]).toEqual(['ten', 10, { file: join(folder, 'ten') }])
    expect(source.version).toMatch(/^10-\d+/)
    expect([...(await source.read(3, 6))]).toEqual([3, 4, 5])
    expect([...(await source.read(10, 10))]).toEqual([])
  })

  test('says what is wrong', async () => {
    await expect(openFile(join(folder, 'none'), 'none')).rejects.toThrow(new MergeError('none: no such file', { fix: 'check the path' }))
    await expect(openFile(join(folder, 'sub'), 'sub')).rejects.toThrow(new MergeError('sub is a folder', { fix: 'give the path of a file' }))
    await expect(openFile('/dev/null', 'null')).rejects.toThrow('null is not a regular file')
    await expect(openFile('a\0b')).rejects.toThrow('a?b is not a path: it contains a NUL character')
  })

  test('a file that shrank', async () => {
    const path = join(folder, 'shrinks')
    writeFileSync(path, new Uint8Array(8))
    const source = await openFile(path, 'shrinks')
    const reader = openReader(source.locator)
    truncateSync(path, 5)
    const message = 'the file shrank while in use: bytes 2 to 8 were asked for, but it ends at byte 5'
    await expect(source.read(2, 8)).rejects.toThrow(`${message}\n  at shrinks`)
    expect(() => reader.read(new Uint8Array(6), 2)).toThrow(`${message}\n  at ${path}`)
    reader.close()
  })
})

test('openReader fills the target from a file and from memory', () => {
  for (const locator of [{ file: join(folder, 'ten') }, { memory: Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9) }]) {
    const reader = openReader(locator)
    const target = new Uint8Array(4)
    reader.read(target.subarray(1, 3), 7)
    expect([...target]).toEqual([0, 7, 8, 0])
    expect(() => reader.read(target, 7)).toThrow('bytes 7 to 11 were asked for, but it ends at byte 10')
    reader.close()
  }
  expect(() => openReader({ file: join(folder, 'none') })).toThrow('none does not exist')
})

test('listFolder follows links, sorts by name, and is null for what is no folder', async () => {
  symlinkSync(join(folder, 'ten'), join(folder, 'link'))
  symlinkSync(join(folder, 'nowhere'), join(folder, 'broken'))
  symlinkSync(join(folder, 'loop'), join(folder, 'loop'))
  const entries = (await listFolder(folder)) ?? []
  expect(entries.filter(({ name }) => name !== 'shrinks').map(({ name, size, isFile }) => [name, isFile ? size : null])).toEqual([
    ['broken', null],
    ['link', 10],
    ['loop', null],
    ['sub', null],
    ['ten', 10],
  ])
  expect(await listFolder(join(folder, 'ten'))).toBeNull()
  expect(await listFolder(join(folder, 'none'))).toBeNull()
})

test('findPath takes the first folder that has it', async () => {
  expect(await findPath('ten', [join(folder, 'sub'), folder])).toBe(join(folder, 'ten'))
  expect(await findPath(join(folder, 'ten'), ['/'])).toBe(join(folder, 'ten'))
  expect(await findPath('none', [folder])).toBeNull()
  expect(await statPath(join(folder, 'ten', 'inside'))).toBeNull()
})

test('readText drops a byte order mark and refuses other encodings', async () => {
  const path = join(folder, 'text')
  writeFileSync(path, '\ufeff{}')
  expect(await readText(path)).toBe('{}')
  writeFileSync(path, Uint8Array.of(0xff, 0xfe))
  await expect(readText(path, 'text')).rejects.toThrow('text is not UTF-8 text')
})

test('errors of the file system, in words', () => {
  const failing = (code: string): string => fileError(Object.assign(new Error('x'), { code }), 'model').what
  expect(['EACCES', 'EISDIR', 'EMFILE', 'ENOENT', 'EIO'].map(failing)).toEqual([
    'model may not be accessed: permission denied',
    'model is a folder, not a file',
    'model cannot be opened: this process has too many open files',
    'model does not exist',
    'model cannot be read (x)',
  ])
})
