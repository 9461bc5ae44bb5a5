import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { open } from '../src/checkpoint/checkpoint.ts'
import { bytesOf, type DType, type FloatDType, isFloat, sizeOf } from '../src/dtype.ts'
import { headerOf } from '../src/formats/safetensors.ts'
import { decode, encode } from './floats.ts'

// The command line as a user meets it (dist/cli/main.js, which `npm test` builds first), and small models to give it.

export const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '')
export const MAIN = join(ROOT, 'dist/cli/main.js')

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `merganser ARGS` in the folder `cwd`. */
export const merganser = (args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}): Promise<Outcome> => run(MAIN, args, cwd, env)

/** Runs a program for Node, such as `dist/cli/main.js` of another installation. */
export function run(main: string, args: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], { cwd, env: { ...process.env, NO_COLOR: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    const text = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', piece => (text.stdout += piece))
    child.stderr.setEncoding('utf8').on('data', piece => (text.stderr += piece))
    child.on('error', reject).on('close', code => resolve({ code, ...text }))
  })
}

export interface Written {
  readonly dtype: DType
  readonly shape: readonly number[]
  /** Floats as numbers, anything else as its bytes. */
  readonly values: readonly number[]
}

/** An F32 tensor; a vector unless `shape` says otherwise. */
export const f32 = (values: readonly number[], shape: readonly number[] = [values.length]): Written => ({ dtype: 'F32', shape, values })

/** Writes the folder of a model: one file of tensors, and further files as text. */
export function writeModel(
  folder: string,
  tensors: Readonly<Record<string, Written>>,
  files: Readonly<Record<string, string>> = {},
  metadata: Readonly<Record<string, string>> = {},
): string {
  const list = Object.entries(tensors).map(([name, tensor]) => ({ name, ...tensor }))
  const { header, offsets, size } = headerOf(list, metadata)
  const bytes = new Uint8Array(size)
  bytes.set(header)
  for (const [i, { dtype, shape, values }] of list.entries()) {
    const data = isFloat(dtype) ? encode(dtype, values) : Uint8Array.from(values)
    if (data.length !== sizeOf(shape) * bytesOf(dtype)) throw new RangeError(`${list[i]!.name}: ${data.length} bytes for a shape of [${shape}]`)
    bytes.set(data, offsets[i])
  }
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'model.safetensors'), bytes)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

/** Every tensor of a model, as it was given to `writeModel`. */
export async function readModel(path: string): Promise<Record<string, Written>> {
  const { tensors, files } = await open(path)
  const contents = files.map(f => readFileSync((f.locator as { file: string }).file))
  return Object.fromEntries(
    [...tensors.values()].map(({ name, dtype, shape, file, start, end }) => {
      const bytes = Uint8Array.from(contents[file]!.subarray(start, end))
      return [name, { dtype, shape, values: [...(isFloat(dtype) ? decode(dtype as FloatDType, bytes) : bytes)] }]
    }),
  )
}

/** The values of every tensor, rounded to six decimals: what float32 tells apart in small numbers. */
export async function numbersOf(path: string): Promise<Record<string, readonly number[]>> {
  return Object.fromEntries(Object.entries(await readModel(path)).map(([name, { values }]) => [name, values.map(v => Math.round(v * 1e6) / 1e6 + 0)]))
}

/** Paths of all files and folders below `folder`, folders with a slash. */
export function treeOf(folder: string, prefix = ''): string[] {
  return readdirSync(join(folder, prefix), { withFileTypes: true })
    .flatMap(e => (e.isDirectory() ? [`${prefix}${e.name}/`, ...treeOf(folder, `${prefix}${e.name}/`)] : [`${prefix}${e.name}`]))
    .toSorted()
}
