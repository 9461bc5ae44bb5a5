import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { isMountPoint } from '../src/bytes/_existing.ts'
import { folderSink } from '../src/bytes/folder.ts'
import { CLI, merganser, temporaryFolder, writeFiles, writeModel } from './front.ts'

// Where a model is written: nothing else there may be lost, and what cannot be replaced in the end is refused at the start.

const root = temporaryFolder()
let folder = root
let number = 0

beforeEach(() => {
  folder = join(root, String(number++))
  for (const [i, name] of ['base', 'code'].entries()) writeModel(join(folder, name), { 'w.weight': { shape: [2], values: [i, i + 1] } })
})

const merge = (out: string, ...more: readonly string[]) => merganser(folder, 'merge', 'base + 0.5*(code - base)', out, '--model', 'base=base', '--model', 'code=code', ...more)
const modelIn = (out: string): boolean => existsSync(join(folder, out, 'model.safetensors'))

describe('--force', () => {
  for (const [what, path] of [
    ['notes', 'thesis.md'],
    ['a text', 'notes.txt'],
    ['a script', 'train.py'],
    ['results', 'results.json'],
    ['a hidden folder', '.git/config'],
    ['a folder that looks like a part of a model', '1_Pooling/notes.txt'],
    ['a folder within one', '1_Pooling/deep/config.json'],
    ['a name that begins like a licence', 'licenses I need.md'],
  ] as const) {
    test(`does not delete ${what} (${path})`, () => {
      expect(merge('out').status).toBe(0)
      const before = readFileSync(join(folder, 'out/model.safetensors'))
      writeFiles(folder, { [`out/${path}`]: 'mine' })
      const { status, stderr } = merge('out', '--force', '--dtype', 'bf16')
      expect(status).toBe(1)
      expect(stderr).toContain('error: the output folder out holds more than a model (')
      expect(stderr).toContain('), and --force would delete it\n  fix: choose another name, or empty the folder yourself\n')
      expect(readFileSync(join(folder, `out/${path}`), 'utf8')).toBe('mine')
      expect(readFileSync(join(folder, 'out/model.safetensors'))).toEqual(before)
      expect(readdirSync(folder)).not.toContain('out.partial')
    })
  }

  test('replaces what belongs to a model, and what this merge writes itself', () => {
    writeFiles(folder, {
      'base/config.json': '{"auto_map": {"AutoModel": "odd_name.Model"}}',
      'base/odd_name.py': 'class Model: pass',
      'out/model-00001-of-00001.safetensors': 'old',
      'out/model.safetensors.index.json': '{}',
      'out/config.json': '{}',
      'out/tokenizer.json': '{}',
      'out/modeling_phi3.py': '',
      'out/odd_name.py': '',
      'out/LICENSE-MIT.txt': '',
      'out/README.md': '',
      'out/1_Pooling/config.json': '{}',
    })
    expect(merge('out', '--force').stderr).toBe('')
    expect(readdirSync(join(folder, 'out')).sort()).toEqual(['README.md', 'config.json', 'model.safetensors', 'odd_name.py'])
  })

  test('does not delete an input whose file is a link into the output', () => {
    expect(merge('out').status).toBe(0)
    mkdirSync(join(folder, 'linked'))
    symlinkSync(join(folder, 'out/model.safetensors'), join(folder, 'linked/model.safetensors'))
    const { stderr } = merganser(folder, 'merge', 'linked', 'out', '--model', 'linked=linked', '--force')
    expect(stderr).toBe(`error: the output folder out contains the input ${folder}/linked/model.safetensors\n  fix: write to a folder apart from the inputs\n`)
    expect(modelIn('out')).toBe(true)
  })
})

test.skipIf(process.platform === 'win32')('a file larger than the limit', () => {
  writeModel(join(folder, 'large'), { 'w.weight': { shape: [100_000] } })
  const { stderr, status } = spawnSync('sh', ['-c', `ulimit -f 100; exec "${process.execPath}" "${CLI}" merge large out --model large=large`], { cwd: folder, encoding: 'utf8' })
  expect(stderr).toBe(
    'error: out would become larger than this file system or your limit (`ulimit -f`) allows\n  fix: write smaller files: `--shard-size 2GB`, or `output: { shard_size: 2GB }`\n',
  )
  expect(status).toBe(1)
})

test.skipIf(process.platform === 'win32')('a file beside the tensors that may not be read is noticed before the merge', () => {
  writeFiles(folder, { 'base/tokenizer.json': '{}' })
  chmodSync(join(folder, 'base/tokenizer.json'), 0o000)
  for (const path of [root, folder]) chmodSync(path, 0o777)
  const nobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {} // root may read everything
  const { stderr } = spawnSync(process.execPath, [CLI, 'merge', 'base', 'out', '--model', 'base=base'], { cwd: folder, encoding: 'utf8', ...nobody })
  expect(stderr).toBe(`error: ${folder}/base/tokenizer.json may not be accessed: permission denied\n  fix: run as a user who may, or change its permissions\n`)
  expect(readdirSync(folder)).not.toContain('out.partial')
})

test('a journal that cannot be written', async () => {
  const out = join(folder, 'out')
  const sink = folderSink(out)
  await sink.begin({ bytes: 0, fingerprint: 'x', inputs: [], files: [], isOfModel: () => true })
  rmSync(`${out}.partial/journal.jsonl`)
  mkdirSync(`${out}.partial/journal.jsonl`)
  expect(() => sink.record([1])).toThrow(`${out}.partial/journal.jsonl cannot be written: a folder is in its place\n  fix: remove it, then run the same command with --resume`)
  await sink.abandon(false)
  expect(readdirSync(folder)).not.toContain('out.partial')
})

test('a link to a folder means that folder: the link stays', () => {
  mkdirSync(join(folder, 'elsewhere/empty'), { recursive: true })
  symlinkSync(join(folder, 'elsewhere/empty'), join(folder, 'out'))
  expect(merge('out').stderr).toBe('')
  expect(modelIn('elsewhere/empty')).toBe(true)
  expect(merge('out', '--force').stderr).toBe('')
  expect(readdirSync(join(folder, 'elsewhere'))).toEqual(['empty'])
})

test('a link that leads nowhere is refused at the start', () => {
  symlinkSync(join(folder, 'nowhere'), join(folder, 'out'))
  expect(merge('out').stderr).toBe('error: out is a link that leads nowhere\n  fix: choose another folder, or mend the link\n')
  expect(readdirSync(folder)).not.toContain('out.partial')
})

test('an input inside OUT.partial is refused, whether it lies there or a link leads there', () => {
  mkdirSync(join(folder, 'out.partial'))
  renameSync(join(folder, 'code'), join(folder, 'out.partial/model'))
  writeFileSync(join(folder, 'out.partial/journal.jsonl'), '{"fingerprint":"x"}\n')
  symlinkSync(join(folder, 'out.partial/model'), join(folder, 'code'))
  const { stderr, status } = merge('out')
  expect(stderr).toBe(
    `error: the input ${folder}/code lies inside out.partial, where the merge is written until it is complete\n  fix: move the input, or choose another name for the output\n`,
  )
  expect(status).toBe(1)
  expect(modelIn('out.partial/model')).toBe(true)
})

test('a folder of somebody else that is called OUT.partial stays, whatever is in it', () => {
  for (const file of ['model/notes.txt', 'notes.txt', 'journal.jsonl']) {
    writeFiles(folder, { [`${file.length}.partial/${file}`]: 'mine' })
    expect(merge(`${file.length}/`).stderr).toBe(`error: ${file.length}.partial is in the way: Merganser did not make it\n  fix: rename or remove it\n`)
    expect(readFileSync(join(folder, `${file.length}.partial/${file}`), 'utf8')).toBe('mine')
  }
})

test('what somebody put beside the files of an unfinished merge stays', () => {
  writeFiles(folder, { 'out.partial/journal.jsonl': '{"fingerprint":"x"}\n', 'out.partial/model/model.safetensors': '', 'out.partial/notes.txt': 'mine' })
  expect(merge('out').status).toBe(0)
  expect(readdirSync(join(folder, 'out.partial'))).toEqual(['notes.txt'])
})

test.runIf(process.platform === 'linux')('a mount point cannot be replaced, and is refused at the start', async () => {
  expect(await isMountPoint('/proc')).toBe(true)
  expect(await isMountPoint(folder)).toBe(false)
  if (!existsSync('/dev/shm') || !(await isMountPoint('/dev/shm')) || readdirSync('/dev/shm').length > 0) return
  expect(merge('/dev/shm').stderr).toBe(
    'error: the output folder /dev/shm is a mount point, which a finished model cannot replace\n  fix: write to a folder in it: /dev/shm/model\n',
  )
})
