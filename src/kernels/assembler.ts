// Writes WebAssembly modules byte by byte: just what the pass compiler needs. The format: https://webassembly.github.io/spec/core/binary/

export type ValueType = 'i32' | 'f32' | 'f64' | 'v128'
/** A local variable of the function being written. */
export type Local = number

const TYPES: Readonly<Record<ValueType, number>> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b }

/** Instructions without immediates, by their names in the specification. Vector ones are `0xfd` and a number. */
const PLAIN = {
  'i32.gt_s': [0x4a],
  'i32.popcnt': [0x69],
  'i32.add': [0x6a],
  'i32.sub': [0x6b],
  'i32.shl': [0x74],
  'f32.demote_f64': [0xb6],
  'f64.promote_f32': [0xbb],
  'i8x16.swizzle': [0xfd, 0x0e],
  'i32x4.splat': [0xfd, 0x11],
  'f32x4.splat': [0xfd, 0x13],
  'f32x4.eq': [0xfd, 0x41],
  'f32x4.ne': [0xfd, 0x42],
  'f32x4.lt': [0xfd, 0x43],
  'f32x4.gt': [0xfd, 0x44],
  'f32x4.ge': [0xfd, 0x46],
  'i16x8.ge_u': [0xfd, 0x36],
  'i32x4.eq': [0xfd, 0x37],
  'i32x4.lt_s': [0xfd, 0x39],
  'i32x4.gt_s': [0xfd, 0x3b],
  'i32x4.ge_s': [0xfd, 0x3f],
  'i32x4.ge_u': [0xfd, 0x40],
  'v128.and': [0xfd, 0x4e],
  'v128.andnot': [0xfd, 0x4f],
  'v128.or': [0xfd, 0x50],
  'v128.xor': [0xfd, 0x51],
  'v128.bitselect': [0xfd, 0x52],
  'v128.any_true': [0xfd, 0x53],
  'f32x4.ceil': [0xfd, 0x67],
  'f32x4.nearest': [0xfd, 0x6a],
  'f64x2.promote_low_f32x4': [0xfd, 0x5f],
  'i32x4.bitmask': [0xfd, 0xa4, 0x01],
  'i16x8.narrow_i32x4_u': [0xfd, 0x86, 0x01],
  'i16x8.max_u': [0xfd, 0x99, 0x01],
  'i32x4.shl': [0xfd, 0xab, 0x01],
  'i32x4.shr_s': [0xfd, 0xac, 0x01],
  'i32x4.shr_u': [0xfd, 0xad, 0x01],
  'i32x4.add': [0xfd, 0xae, 0x01],
  'i32x4.sub': [0xfd, 0xb1, 0x01],
  'i32x4.mul': [0xfd, 0xb5, 0x01],
  'i32x4.max_u': [0xfd, 0xb9, 0x01],
  'f32x4.sqrt': [0xfd, 0xe3, 0x01],
  'f32x4.add': [0xfd, 0xe4, 0x01],
  'f32x4.sub': [0xfd, 0xe5, 0x01],
  'f32x4.mul': [0xfd, 0xe6, 0x01],
  'f32x4.div': [0xfd, 0xe7, 0x01],
  'f32x4.min': [0xfd, 0xe8, 0x01],
  'f32x4.max': [0xfd, 0xe9, 0x01],
  'f64x2.add': [0xfd, 0xf0, 0x01],
  'f32x4.pmin': [0xfd, 0xea, 0x01],
  'f32x4.pmax': [0xfd, 0xeb, 0x01],
  'i32x4.trunc_sat_f32x4_s': [0xfd, 0xf8, 0x01],
  'f32x4.convert_i32x4_s': [0xfd, 0xfa, 0x01],
} as const satisfies Readonly<Record<string, readonly number[]>>
export type Instruction = keyof typeof PLAIN

/** Loads and stores: the address is on the stack (below the value to store); `offset` bytes are added. Addresses need no alignment. */
const MEMORY = {
  'i32.load': [0x28],
  'i32.store': [0x36],
  'v128.load': [0xfd, 0x00],
  'v128.load16x4_u': [0xfd, 0x04],
  'v128.load32_splat': [0xfd, 0x09],
  'v128.store': [0xfd, 0x0b],
} as const satisfies Readonly<Record<string, readonly number[]>>
export type MemoryInstruction = keyof typeof MEMORY

/** Writes one function. Instructions take their operands from the stack, as WebAssembly does. */
export interface Code {
  local(type: ValueType): Local
  /** What `write` emits goes to the beginning of the function, after what was put there before. */
  ahead(write: () => void): void
  get(...locals: Local[]): void
  set(local: Local): void
  tee(local: Local): void
  i32(value: number): void
  emit(...instructions: Instruction[]): void
  /** Adds to an address. */
  step(local: Local, bytes: number): void
  memory(instruction: MemoryInstruction, offset?: number): void
  extractF32(lane: number): void
  replaceF32(lane: number): void
  /** The lanes of two vectors, 0 to 3 and 4 to 7, picked as a new one. */
  shuffle32(lanes: readonly [number, number, number, number]): void
  call(imported: number): void
  /** Runs `body` again while it leaves a number other than 0 on the stack. */
  loop(body: () => void): void
  /** Runs `body` if the number on the stack is not 0. */
  when(body: () => void): void
}

export interface FunctionSpec {
  readonly name: string
  /** Parameters are i32 and the first locals. Nothing is returned. */
  readonly params: number
  write(code: Code): void
}

/** A function that the module calls: one f64 in, one out. */
export interface Imported {
  readonly module: string
  readonly name: string
}

/** A module of functions over the imported memory `env.memory`. */
export function assemble(functions: readonly FunctionSpec[], imported: readonly Imported[] = []): Uint8Array<ArrayBuffer> {
  const bodies = functions.map(bodyOf)
  const paramCounts = [...new Set(functions.map(f => f.params))]
  const types = [[0x60, 1, TYPES.f64, 1, TYPES.f64], ...paramCounts.map(n => [0x60, n, ...Array<number>(n).fill(TYPES.i32), 0])]
  const imports = [[...text('env'), ...text('memory'), 2, 0, 0], ...imported.map(({ module, name }) => [...text(module), ...text(name), 0, 0])]
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, types),
    ...section(2, imports),
    ...section(
      3,
      functions.map(f => [1 + paramCounts.indexOf(f.params)]),
    ),
    ...section(
      7,
      functions.map((f, i) => [...text(f.name), 0, ...unsigned(imported.length + i)]),
    ),
    ...section(10, bodies),
  ])
}

function bodyOf({ params, write }: FunctionSpec): readonly number[] {
  const head: number[] = []
  const rest: number[] = []
  let out = rest
  const locals: ValueType[] = []
  const push = (bytes: readonly number[]): void => {
    for (const byte of bytes) out.push(byte)
  }
  const code: Code = {
    local(type) {
      locals.push(type)
      return params + locals.length - 1
    },
    ahead(write) {
      const before = out
      out = head
      write()
      out = before
    },
    get(...names) {
      for (const name of names) push([0x20, ...unsigned(name)])
    },
    set: name => push([0x21, ...unsigned(name)]),
    tee: name => push([0x22, ...unsigned(name)]),
    i32: value => push([0x41, ...signed(value)]),
    emit(...instructions) {
      for (const instruction of instructions) push(PLAIN[instruction])
    },
    step(local, bytes) {
      code.get(local)
      code.i32(bytes)
      code.emit('i32.add')
      code.set(local)
    },
    memory: (instruction, offset = 0) => push([...MEMORY[instruction], 0, ...unsigned(offset)]),
    extractF32: lane => push([0xfd, 0x1f, lane]),
    replaceF32: lane => push([0xfd, 0x20, lane]),
    shuffle32: lanes => push([0xfd, 0x0d, ...lanes.flatMap(lane => [0, 1, 2, 3].map(byte => lane * 4 + byte))]),
    call: imported => push([0x10, ...unsigned(imported)]),
    loop(body) {
      push([0x03, 0x40])
      body()
      push([0x0d, 0, 0x0b])
    },
    when(body) {
      push([0x04, 0x40])
      body()
      push([0x0b])
    },
  }
  write(code)
  const declared = locals.map(type => [1, TYPES[type]])
  return sized([...unsigned(declared.length), ...declared.flat(), ...head, ...rest, 0x0b])
}

const section = (id: number, items: readonly (readonly number[])[]): readonly number[] => [id, ...sized([...unsigned(items.length), ...items.flat()])]
const sized = (bytes: readonly number[]): readonly number[] => [...unsigned(bytes.length), ...bytes]
const text = (name: string): readonly number[] => sized([...new TextEncoder().encode(name)])

/** LEB128. */
function unsigned(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  bytes.push(rest)
  return bytes
}
function signed(value: number): number[] {
  const bytes: number[] = []
  let rest = value | 0
  while (rest < -64 || rest > 63) {
    bytes.push((rest & 0x7f) | 0x80)
    rest >>= 7
  }
  bytes.push(rest & 0x7f)
  return bytes
}
