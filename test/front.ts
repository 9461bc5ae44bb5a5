import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'
import { type DType, type FloatDType, isFloat } from '../src/dtype.ts'
import { headerOf } from '../src/formats/safetensors.ts'
import { encode } from './floats.ts'

/** The front door: the built command line, in a folder of its own. */

export const REPOSITORY = fileURLToPath(new URL('..', import.meta.url))
export const CLI = join(REPOSITORY, 'dist/cli/main.js')

/** A folder that goes when the file's tests have ended. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'merganser-test-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export interface TensorSpec {
  readonly dtype?: DType
  readonly shape: readonly number[]
  /** Row-major; numbers for floats, bytes for the rest. Default zeros. */
  readonly values?: readonly number[]
  /** Taken as they are, instead of values. */
  readonly bytes?: Uint8Array
}

/** Writes a model in Hugging Face layout. */
export function writeModel(folder: string, tensors: Readonly<Record<string, TensorSpec>>, config: object | null = { architectures: ['Toy'] }): void {
  writeTensors(join(folder, 'model.safetensors'), tensors)
  if (config) writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
}

/** Writes a LoRA adapter as PEFT does; `config` changes fields of adapter_config.json. */
export function writeAdapter(folder: string, tensors: Readonly<Record<string, TensorSpec>>, config: object = {}): void {
  const renamed = Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`base_model.model.${name}`, tensor]))
  writeTensors(join(folder, 'adapter_model.safetensors'), renamed)
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ peft_type: 'LORA', base_model_name_or_path: 'org/base', r: 1, lora_alpha: 1, ...config }))
}

function writeTensors(path: string, tensors: Readonly<Record<string, TensorSpec>>): void {
  const folder = dirname(path)
  mkdirSync(folder, { recursive: true })
  const entries = Object.entries(tensors).map(([name, { dtype = 'F32', shape }]) => ({ name, dtype, shape }))
  const { header, size } = headerOf(entries, { format: 'pt' })
  const data = Object.values(tensors).map(({ dtype = 'F32', shape, values, bytes }) => {
    if (bytes) return bytes
    const filled = values ?? new Array<number>(shape.reduce((a, b) => a * b, 1)).fill(0)
    return isFloat(dtype) ? encode(dtype as FloatDType, filled) : Uint8Array.from(filled)
  })
  const bytes = Buffer.concat([header, ...data])
  if (bytes.length !== size) throw new Error(`the values of a test model do not fill it: ${bytes.length} of ${size} bytes`)
  writeFileSync(path, bytes)
}

/** Writes text files below `folder`. */
export function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

/** Runs `merganser ARGS` in `folder`. */
export const merganser = (folder: string, ...args: readonly string[]): SpawnSyncReturns<string> =>
  spawnSync(process.execPath, [CLI, ...args], { cwd: folder, encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } })
