import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { headerOf } from '../formats/safetensors.ts'
import { open } from './checkpoint.ts'

const ROOT = join(import.meta.dirname, '../..')
let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'merganser-checkpoint-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function write(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), content)
}

function weights(...names: readonly string[]): Uint8Array {
  const { header, size } = headerOf(
    names.map(name => ({ name, dtype: 'F32', shape: [1] })),
    { format: 'pt' },
  )
  const bytes = new Uint8Array(size)
  bytes.set(header)
  return bytes
}

describe('open', () => {
  test('a sharded model', async () => {
    const model = await open('zoo/text/code', { from: [ROOT] })
    expect(model.ref).toBe('zoo/text/code')
    expect(model.path).toBe(join(ROOT, 'zoo/text/code'))
    expect(model.files.map(({ name }) => name)).toEqual(['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'])
    expect(model.tensors.size).toBe(39)
    const files = [...model.tensors.values()].map(({ file }) => file)
    expect(files).toEqual(files.toSorted())
    expect(model.tensors.get('model.norm.weight')).toMatchObject({ dtype: 'BF16', shape: [128], file: 1 })
    expect(model.architecture).toBe('LlamaForCausalLM')
    expect(model.layers.count).toBe(4)
    expect(model.sidecars.map(({ name, role }) => [name, role])).toEqual([
      ['generation_config.json', 'config'],
      ['tokenizer.json', 'tokenizer'],
      ['tokenizer_config.json', 'tokenizer'],
    ])
    expect(model.files[0]?.metadata).toEqual({ format: 'pt' })
  })

  test('a file of a folder, with the hash of its header', async () => {
    const path = join(ROOT, 'zoo/vision/base/model.safetensors')
    const model = await open(path)
    const bytes = readFileSync(path)
    const header = bytes.subarray(8, 8 + bytes.readUInt32LE(0))
    expect(model.files[0]?.headerHash).toBe(createHash('sha256').update(header).digest('hex'))
    expect(model.files[0]?.locator).toEqual({ file: path })
    expect(model.architecture).toBe('glyph_vit')
    expect(model.config?.image_size).toBe(28)
  })

  test('the first folder of `from` that has it', async () => {
    write('one/x.txt', '')
    write('two/model/model.safetensors', weights('a'))
    const from = [join(folder, 'one'), join(folder, 'two')]
    expect((await open('model', { from })).path).toBe(join(folder, 'two/model'))
    expect((await open('model/', { from })).path).toBe(join(folder, 'two/model'))
  })

  test('shards without an index, and a single file of another name', async () => {
    write('plain/model-00001-of-00002.safetensors', weights('a'))
    write('plain/model-00002-of-00002.safetensors', weights('b'))
    expect([...(await open(join(folder, 'plain'))).tensors.keys()]).toEqual(['a', 'b'])
    write('single/weights.safetensors', weights('c'))
    const single = await open(join(folder, 'single'))
    expect(single.files.map(({ name }) => name)).toEqual(['weights.safetensors'])
    expect([single.config, single.architecture, single.layers.count]).toEqual([null, null, 0])
  })

  test('a cache made of links, as Hugging Face’s', async () => {
    write('blobs/0a1b', weights('a'))
    mkdirSync(join(folder, 'snapshot'))
    symlinkSync('../blobs/0a1b', join(folder, 'snapshot/model.safetensors'))
    expect((await open(join(folder, 'snapshot'))).tensors.size).toBe(1)
    mkdirSync(join(folder, 'dangling'))
    symlinkSync('../blobs/none', join(folder, 'dangling/model.safetensors'))
    await expect(open('dangling', { from: [folder] })).rejects.toThrow('dangling/model.safetensors is not a regular file, nor a link to one')
  })

  test('config.json as Python writes it', async () => {
    write('mamba/model.safetensors', weights('a'))
    write('mamba/config.json', '{"model_type": "mamba2", "time_step_limit": [0.0, Infinity]}')
    const { config, architecture } = await open(join(folder, 'mamba'))
    expect(config?.time_step_limit).toEqual([0, Number.POSITIVE_INFINITY])
    expect(architecture).toBe('mamba2')
  })
})

describe('sidecars', () => {
  test('what a model needs beside its weights, and nothing else', async () => {
    const names = [
      'merges.txt',
      'vocab.json',
      'chat_template.jinja',
      'preprocessor_config.json',
      'LICENSE.txt',
      'README.md',
      'notes.py',
      'pytorch_model.bin',
      'modeling_x.py',
      'attention.py',
      'tokenization_x.py',
      'router.py',
      '1_Pooling/config.json',
      '3_Dense/model.safetensors',
      '3_Dense/config.json',
      'other/config.json',
    ]
    for (const name of names) write(`full/${name}`, '')
    write('full/model.safetensors', weights('a'))
    write('full/config.json', '{"auto_map": {"AutoConfig": "missing_x.Config", "AutoModel": "org/repo--modeling_x.Model", "AutoTokenizer": ["transformers.models.X", null]}}')
    write('full/modeling_x.py', 'import torch\nfrom .attention import Attention\nfrom torch import nn\n')
    write('full/attention.py', 'from .modeling_x import Model\n')
    write('full/tokenizer_config.json', '{"auto_map": {"AutoTokenizer": ["tokenization_x.Tokenizer", null]}}')
    const modules = [
      { path: '', type: 'router.Router' },
      { path: '1_Pooling', type: 'sentence_transformers.models.Pooling' },
      { path: '2_Normalize', type: 'sentence_transformers.models.Normalize' },
      { path: '3_Dense', type: 'sentence_transformers.models.Dense' },
    ]
    write('full/modules.json', JSON.stringify(modules))
    const { sidecars } = await open(join(folder, 'full'))
    expect(sidecars.map(({ name, role }) => `${role} ${name}`)).toEqual([
      'config 1_Pooling/config.json',
      'config 3_Dense/config.json',
      'config 3_Dense/model.safetensors',
      'license LICENSE.txt',
      'code attention.py',
      'tokenizer chat_template.jinja',
      'tokenizer merges.txt',
      'code modeling_x.py',
      'config modules.json',
      'config preprocessor_config.json',
      'code router.py',
      'tokenizer tokenization_x.py',
      'tokenizer tokenizer_config.json',
      'tokenizer vocab.json',
    ])
    expect(sidecars.find(({ name }) => name === 'modeling_x.py')).toMatchObject({ path: join(folder, 'full/modeling_x.py'), size: 67 })
  })
})

describe('a path that leads to no model', () => {
  const failing = async (ref: string, from = [ROOT]): Promise<string> => {
    try {
      await open(ref, { from })
      return 'no error'
    } catch (error) {
      return (error as Error).message.replaceAll(ROOT, '<root>').replaceAll(folder, '<folder>') // whatever it is, the comparison shows it
    }
  }

  test('near names, wherever the path goes wrong', async () => {
    expect(await failing('zoo/text/bass')).toBe('no file or folder "zoo/text/bass" in <root>\n  fix: did you mean "zoo/text/base"?')
    expect(await failing('zoo/txt/base')).toBe('no file or folder "zoo/txt/base" in <root>\n  fix: did you mean "zoo/text/base"?')
    expect(await failing('zoo/text/base/modle.safetensors')).toBe(
      'no file or folder "zoo/text/base/modle.safetensors" in <root>\n  fix: did you mean "zoo/text/base/model.safetensors"?',
    )
    expect(await failing(`${ROOT}/zoo/text/bass`)).toBe('no file or folder "<root>/zoo/text/bass"\n  fix: did you mean "<root>/zoo/text/base"?')
  })

  test('nothing alike, in several folders', async () => {
    expect(await failing('org/unheard-of-model', [ROOT, folder])).toBe(
      'no file or folder "org/unheard-of-model" in <root> or in <folder>\n  fix: check the path, or download the model first: `hf download org/unheard-of-model`',
    )
  })

  test('an empty path, an empty folder, files of other kinds', async () => {
    mkdirSync(join(folder, 'empty'))
    expect(await failing(' ')).toBe('the path of a model is empty\n  fix: give a folder or a .safetensors file')
    expect(await failing('empty', [folder])).toBe('the folder empty is empty\n  fix: give a folder with a .safetensors file')
    expect(await failing('zoo/text/code/config.json')).toBe(
      'zoo/text/code/config.json is not a checkpoint that Merganser reads\n  fix: give a .safetensors file or a folder with one',
    )
    expect(await failing('zoo/text/code/model.safetensors.index.json')).toBe(
      'zoo/text/code/model.safetensors.index.json is an index, not a model\n  fix: give the folder it lies in',
    )
    expect(await failing('a\0b')).toBe('a?b is not a path: it contains a NUL character\n  fix: check the path')
  })
})
