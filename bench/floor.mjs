// The floor under every merge: threads that read the same input bytes and write as many output bytes, and compute nothing.
// `node bench/floor.mjs --threads 2 --out FILE INPUT…`: reads every input once, writes one new file as long as the first.
import { closeSync, ftruncateSync, openSync, readSync, statSync, writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { isMainThread, Worker, workerData } from 'node:worker_threads'

const CHUNK = 2 ** 20 // bytes: of 64 KiB to 4 MiB the fastest, as it stays in the L2 cache between read and write

if (isMainThread) {
  const { values, positionals: inputs } = parseArgs({ options: { threads: { type: 'string', default: '2' }, out: { type: 'string' } }, allowPositionals: true })
  const { out } = values
  const size = statSync(inputs[0]).size
  const file = openSync(out, 'w')
  ftruncateSync(file, size)
  closeSync(file)
  const next = new SharedArrayBuffer(4) // the chunk which nobody has taken yet
  for (let t = 0; t < Number(values.threads); t++) new Worker(fileURLToPath(import.meta.url), { workerData: { inputs, out, size, next } })
} else copy(workerData)

function copy({ inputs, out, size, next }) {
  const counter = new Int32Array(next)
  const buffer = new Uint8Array(CHUNK)
  const from = inputs.map(path => openSync(path, 'r'))
  const to = openSync(out, 'r+')
  for (;;) {
    const start = Atomics.add(counter, 0, 1) * CHUNK
    if (start >= size) return
    const length = Math.min(CHUNK, size - start)
    for (const file of from) for (let done = 0; done < length; ) done += readSync(file, buffer, done, length - done, start + done) || fail('an input is shorter than the first')
    for (let done = 0; done < length; ) done += writeSync(to, buffer, done, length - done, start + done)
  }
}

function fail(why) {
  throw new Error(why)
}
