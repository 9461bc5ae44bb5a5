// Makes checkpoints to measure with: `node bench/make.mjs --dir DIR --params 542M --models 3`, or with `--tensors 1000` many small tensors.
// The same command gives the same bytes, and does nothing when they are there already.
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { manyShape, shapeOf, sizeOf } from './shape.mjs'
import { BLOCK, createBlocks, hash } from './values.mjs'

const VERSION = 1 // of the values: raise it when they change, so that files of before are not taken for these

/** Where the models of a size lie: the base first. */
export const foldersOf = (dir, { params, tensors, models }) =>
  Array.from({ length: models }, (_, i) => join(dir, tensors ? `many-${tensors}` : `llama-${params}`, i === 0 ? 'base' : `tuned-${i}`))

/** Bytes of one such model. */
export const bytesOfModel = request => layOut(shape(request)).size

/** Whether the model is there, complete. */
export function isMade(folder, request, index) {
  try {
    return readFileSync(join(folder, 'bench.json'), 'utf8') === stampOf(request, index) && statSync(join(folder, 'model.safetensors')).size === bytesOfModel(request)
  } catch {
    return false
  }
}

const shape = ({ params, tensors }) => (tensors ? manyShape(tensors) : shapeOf(params))
const stampOf = ({ params, tensors }, index) => `${JSON.stringify({ version: VERSION, params, tensors, index })}\n`

function makeModel(folder, request, index) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const { tensors, config } = shape(request)
  const { header, offsets, size } = layOut({ tensors })
  const { pick, norms } = createBlocks(index)
  const file = openSync(join(folder, 'model.safetensors'), 'w')
  try {
    ftruncateSync(file, size)
    writeAll(file, header, 0)
    for (const [t, tensor] of tensors.entries()) {
      const elements = sizeOf(tensor)
      const skip = elements < BLOCK / 2 ? hash(t, 0) % (BLOCK / 2) : 0 // so that small tensors differ
      for (let at = 0; at < elements; at += BLOCK) {
        const block = tensor.shape.length === 1 ? norms : pick(t, at / BLOCK)
        const part = block.subarray(skip, skip + Math.min(BLOCK, elements - at))
        writeAll(file, new Uint8Array(part.buffer, part.byteOffset, part.byteLength), offsets[t] + at * 2)
      }
    }
  } finally {
    closeSync(file)
  }
  writeFileSync(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
  writeFileSync(join(folder, 'bench.json'), stampOf(request, index)) // last: a model without it is not complete
}

/** The safetensors header, and where each tensor starts. */
function layOut({ tensors }) {
  const entries = { __metadata__: { format: 'pt' } }
  const starts = []
  let at = 0
  for (const tensor of tensors) {
    starts.push(at)
    const end = at + 2 * sizeOf(tensor)
    entries[tensor.name] = { dtype: 'BF16', shape: tensor.shape, data_offsets: [at, end] }
    at = end
  }
  const json = Buffer.from(JSON.stringify(entries))
  const dataStart = Math.ceil((8 + json.length) / 8) * 8
  const header = Buffer.alloc(dataStart, ' ')
  header.writeBigUInt64LE(BigInt(dataStart - 8))
  json.copy(header, 8)
  return { header, offsets: starts.map(start => dataStart + start), size: dataStart + at }
}

function writeAll(file, bytes, at) {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done, at + done)
}

/** 542M, 2B, 1.5e9 → a number. */
export function readParameters(text) {
  const [, number, unit] = /^(\d+(?:\.\d+)?(?:e\d+)?)([KMB]?)$/i.exec(text) ?? []
  const params = Number(number) * { '': 1, k: 1e3, m: 1e6, b: 1e9 }[(unit ?? '').toLowerCase()]
  if (!(params >= 1e6 && params <= 1e12)) throw new Error(`--params ${text}: write 1M to 1000B, e.g. 542M or 2B`)
  return params
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { dir: { type: 'string' }, params: { type: 'string', default: '542M' }, models: { type: 'string', default: '3' }, tensors: { type: 'string' } },
  })
  const request = values.tensors ? { tensors: Number(values.tensors) } : { params: readParameters(values.params) }
  for (const [index, folder] of foldersOf(values.dir, { ...request, models: Number(values.models) }).entries())
    if (!isMade(folder, request, index)) makeModel(folder, request, index)
}
