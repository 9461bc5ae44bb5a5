import type { Code, Local } from '../../kernels/assembler.ts'
import type { Constants } from '../../kernels/vectors.ts'

/** The parameters of the functions of a stage. */
export const PARAMETERS: Local = 0
export const COUNT: Local = 1

/** Writes a stage's function. What is the same for all elements is loaded into locals ahead of the loop. */
export interface Writer {
  readonly code: Code
  readonly constants: Constants
  /** The value that `write` pushes ahead of the loop. */
  ahead(write: () => void, type?: 'v128' | 'i32'): Local
  /** From the parameters at byte `at`: a vector, a word in all lanes, an address. */
  loaded(at: number): Local
  splat(at: number): Local
  address(at: number): Local
}

/** `place` gives the offset among the parameters where a constant vector will lie. */
export function createWriter(code: Code, place: (words: readonly [number, number, number, number]) => number): Writer {
  const known = new Map<number, Local>()
  const ahead: Writer['ahead'] = (write, type = 'v128') => {
    const local = code.local(type)
    code.ahead(() => {
      write()
      code.set(local)
    })
    return local
  }
  const parameter = (instruction: 'v128.load' | 'v128.load32_splat' | 'i32.load', at: number): (() => void) => {
    return () => {
      code.get(PARAMETERS)
      code.memory(instruction, at)
    }
  }
  const loaded = (at: number): Local => ahead(parameter('v128.load', at))
  const lanes: Constants['lanes'] = words => {
    const at = place(words)
    const local = known.get(at) ?? loaded(at)
    known.set(at, local)
    return local
  }
  return {
    code,
    constants: { lanes, word: bits => lanes([bits >>> 0, bits >>> 0, bits >>> 0, bits >>> 0]) },
    ahead,
    loaded,
    splat: at => ahead(parameter('v128.load32_splat', at)),
    address: at => ahead(parameter('i32.load', at), 'i32'),
  }
}

/** Keeps in `most` the largest, lane by lane, of it and the magnitudes that `pushMagnitude` pushes. */
export function notice({ code }: Writer, pushMagnitude: () => void, most: Local, lanes: 'i32x4' | 'i16x8'): void {
  code.get(most)
  pushMagnitude()
  code.emit(`${lanes}.max_u`)
  code.set(most)
}

/** Stores in the parameters at byte `at` whether a lane of `most` has reached `limit`. */
export function flag({ code, constants }: Writer, most: Local, at: number, lanes: 'i32x4' | 'i16x8', limit: number): void {
  code.get(PARAMETERS, most, constants.word(limit))
  code.emit(`${lanes}.ge_u`, 'v128.any_true')
  code.memory('i32.store', at)
}
