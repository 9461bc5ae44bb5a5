import { describe, expect, test } from 'vitest'
import { Tensor, where } from '../src/algebra/tensor.ts'
import { bytesOf, isNative } from '../src/dtype.ts'
import { GROUP } from '../src/execute/code/parameters.ts'
import { createEngine } from '../src/kernels/kernels.ts'
import { compile } from '../src/plan/passes.ts'
import type { Tiling } from '../src/plan/tiling.ts'
import { createMachine, nameOf, type Types } from './engine.ts'
import { decode, encode } from './floats.ts'
import { type Key, labelled } from './generator.ts'
import { evaluate } from './reference.ts'
import { differences, pairs, SPECIAL } from './values.ts'

// The code that is generated for elementwise formulas, against JavaScript: its double result rounded once to float32 is the float32 result, as a double
// has more than twice the bits, and two more.

const x = Tensor.source(0, [1])
const y = Tensor.source(1, [1])
const S = 0.8125 // stands for a scalar which every run replaces by another
const s = Tensor.constant(S)
const r = Tensor.random('0', [1])
const r2 = Tensor.random('1', [1])
const KEY: Key = [0xdeadbeef, 7]

const BINARY = ['add', 'sub', 'mul', 'div', 'max', 'min', 'ge', 'gt', 'eq'] as const
const UNARY = ['abs', 'sign', 'sqrt'] as const
const isLarge = x.ge(y)
const isAbove = x.gt(s)
const isKept = r.lt(s)

/** Every op with every form of operand; what the compiler treats apart (masks, random bits, zeros for operands) in every place. */
const FORMS: Readonly<Record<string, Tensor>> = {
  ...Object.fromEntries(BINARY.map(op => [`x ${op} y`, x[op](y)])),
  ...Object.fromEntries(BINARY.map(op => [`x ${op} s`, x[op](s)])),
  ...Object.fromEntries(BINARY.map(op => [`s ${op} x`, s[op](x)])),
  ...Object.fromEntries(UNARY.map(op => [`${op} x`, x[op]()])),
  'x op itself': x.add(x).mul(x.sub(x)).max(x.div(x)),
  'a product that is rounded before it is added': x.add(y.mul(s)),
  'a difference and its magnitude': x.sub(y).abs().add(x.sub(y)),

  'where x, y, s': where(x, y, s),
  'where x, s, y': where(x, s, y),
  'where x, y, x': where(x, y, x),
  'where x, s, 2': where(x, s, 2),
  'where s, x, y': where(s, x, y),
  'where s, x, 2': where(s, x, 2),
  'where s, 2, y': where(s, 2, y),
  'where s, mask, x': where(s, isLarge, x),
  'where mask, x, y': where(isLarge, x, y),
  'where mask, x, −0': where(isLarge, x, -0),
  'keep by a mask': where(isLarge, x, 0),
  'keep by a number': where(x, y, 0),
  'keep by a scalar': where(s, x, 0),
  'drop by a mask': where(isAbove, 0, y),
  'drop by a number': where(x, 0, y),
  'drop by a scalar': where(s, 0, x),

  'a mask for output': isLarge,
  'masks as numbers': isLarge.add(isAbove).add(x.eq(y)),
  'a mask times a number': isLarge.mul(y).sub(isLarge),
  'functions of a mask': isLarge.abs().add(isAbove.sign()).add(x.eq(y).sqrt()),
  'a mask of masks': isLarge.eq(isAbove).add(isLarge.gt(isAbove)).add(isLarge.ge(s)),
  'where mask, mask, mask': where(isLarge, isAbove, x.eq(y)),
  'where mask, mask, number': where(isLarge, isAbove, x),
  'where mask, number, mask': where(isLarge, s, isAbove),
  'a mask kept by a mask': where(isLarge, isAbove, 0),
  'a mask dropped by a mask': where(isLarge, 0, isAbove),
  'a mask kept by a number': where(x, isAbove, 0),
  'a kept mask as a test and as a number': where(where(isLarge, isAbove, 0), x, y).add(where(isLarge, isAbove, 0)),

  'random numbers': r.add(x),
  'random numbers for output': r,
  'r < s': isKept,
  'r > s': r.gt(s),
  'r ≥ s': r.ge(s),
  's ≥ r': s.ge(r),
  'r = s': r.eq(s),
  'r < x': r.lt(x),
  'r of two streams': r.sub(r2).mul(r.lt(r2)),
  'keep at random': where(isKept, x, 0),
  'drop at random': where(isKept, 0, x),
  'keep at random, and the random number': where(isKept, r, x),
  'a random test': where(r, x, y),
  'random numbers kept': where(isAbove, r, 0),
  'random numbers dropped': where(isAbove, 0, r2),
  'random numbers of one or the other': where(isAbove, r, r2),
  'functions of random numbers': r.sqrt().add(r2.abs()).max(r.sign()),
  'a random mask as a number': isKept.mul(x).add(isKept.eq(r2.lt(s))),
}

// In the first three the elements of a 16-bit tensor come apart in pairs (`paired`); in the others, in order. The last two are converted by kernels.
const TYPES: readonly Types[] = [
  { sources: ['BF16', 'BF16'], output: 'BF16' },
  { sources: ['F16', 'F16'], output: 'F16' },
  { sources: ['BF16', 'F16'], output: 'BF16' },
  { sources: ['F32', 'F32'], output: 'F32' },
  { sources: ['BF16', 'F32'], output: 'F16' },
  { sources: ['F32', 'F16'], output: 'BF16' },
  { sources: ['F16', 'BF16'], output: 'F32' },
  { sources: ['F8_E4M3', 'F64'], output: 'F8_E5M2' },
  { sources: ['F64', 'F8_E5M2'], output: 'F64' },
]

const LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 23, 31, 32, 33, 100, 1000]

/** Runs one formula at some lengths, with another scalar each time, and says what differs from the reference. */
async function check(root: Tensor, { sources, output }: Types, lengths: readonly number[], tiling: Tiling = { chunk: 1024 }): Promise<unknown[]> {
  const machine = createMachine(compile(root, sources, output), tiling)
  const wrong: unknown[] = []
  for (const [i, n] of lengths.entries()) {
    const scalar = i % 5 === 4 ? 0.3 + i / 100 : SPECIAL[i % SPECIAL.length]!
    const { a, b } = pairs(n, i * 5)
    const inputs = [encode(sources[0]!, a), encode(sources[1]!, b)]
    const values = inputs.map((bytes, slot) => Float32Array.from(decode(sources[slot]!, bytes)))
    const { bytes, last } = await machine.run(n, inputs, { key: KEY, constants: new Map([[S, scalar]]) })
    const want = evaluate(replaced(root, scalar, n), values, label => labelled(n, KEY, Number(label)))
    const found = differences(decode(output, bytes), decode(output, encode(output, want)))
    if (found.length > 0) wrong.push({ n, scalar, found })
    if (isNative(output) && n <= tiling.chunk) {
      const count = last.length / bytesOf(output)
      const end = (Math.ceil(count / GROUP) * GROUP - count) * bytesOf(output)
      if (last.after.subarray(end, end + 64).some(byte => byte !== 0)) wrong.push(`${n} elements: something is written beyond the last group`)
    }
  }
  return wrong
}

/** The formula with another scalar, on tensors of `n` elements. */
function replaced(root: Tensor, scalar: number, n: number): Tensor {
  const known = new Map<Tensor, Tensor>()
  const copy = (t: Tensor): Tensor => {
    const made = known.get(t) ?? (t === s ? Tensor.constant(scalar) : Tensor.of(t.op, t.inputs.map(copy), t.arg, t.shape.length === 0 ? [] : [n]))
    known.set(t, made)
    return made
  }
  return copy(root)
}

describe.each(TYPES.map(types => [nameOf(types), types] as const))('%s', (_, types) => {
  test.each(Object.keys(FORMS))('%s', async form => {
    expect(await check(FORMS[form]!, types, LENGTHS)).toEqual([])
  })

  test('every length up to three groups', async () => {
    const lengths = Array.from({ length: 48 }, (_, i) => i + 1)
    for (const form of ['x add y', 'masks as numbers', 'keep at random, and the random number', 'random numbers for output']) {
      expect({ form, wrong: await check(FORMS[form]!, types, lengths) }).toEqual({ form, wrong: [] })
    }
  })

  test('tensors of many chunks', async () => {
    for (const form of Object.keys(FORMS).filter((_, i) => i % 5 === 0)) {
      expect({ form, wrong: await check(FORMS[form]!, types, [1000, 1024, 1039], { chunk: 64 }) }).toEqual({ form, wrong: [] })
    }
  })

  test('whole blocks, and more than one', async () => {
    const root = where(r.lt(s), x.sub(y).mul(isLarge), 0).add(r2)
    expect(await check(root, types, [65_536, 131_073], { chunk: 65_536 })).toEqual([])
  })
})

// Their bits are the kernels', rounded once.
test.each(['sin', 'acos'] as const)('%s of a tensor is that of each number', async op => {
  const { kernels } = createEngine(0)
  for (const types of TYPES) {
    const machine = createMachine(compile(x[op](), types.sources, types.output))
    for (const n of [1, 5, 16, 23, 1000]) {
      const values = Float32Array.from({ length: n }, (_, i) => (i < 16 ? SPECIAL[i]! : (i - 500) / 400))
      const inputs = types.sources.map(dtype => encode(dtype, values))
      const { bytes } = await machine.run(n, inputs)
      const want = Float32Array.from(decode(types.sources[0]!, inputs[0]!), v => kernels[op](Math.fround(v)))
      expect({ types, n, wrong: differences(decode(types.output, bytes), decode(types.output, encode(types.output, want))) }).toEqual({ types, n, wrong: [] })
    }
  }
})
