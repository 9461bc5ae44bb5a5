import { isFold, isMap } from '../algebra/ops.ts'
import type { Tensor } from '../algebra/tensor.ts'
import { type DType, type FloatDType, isFloat } from '../dtype.ts'
import { assert } from '../errors.ts'
import { asScalar, type Fold, isScalar, type Operand, type Pass, type Program, type ScalarOp, type StripOp } from './program.ts'

/** A formula's program, and what the task must put into its slots. */
export interface Compiled {
  readonly program: Program
  readonly constants: readonly number[]
  /** Equal for programs that differ in nothing but their constants. */
  readonly key: string
}

/**
 * Cuts a formula into passes over its inputs and each pass into kernel calls on registers.
 * Map nodes are recomputed in every pass that needs them; folds and scalars are kept.
 */
export function compile(root: Tensor, sources: readonly FloatDType[], output: FloatDType): Compiled {
  const scalars = numberScalars(root)
  const passes: Pass[] = []
  for (let p = 0; p <= root.level; p++) passes.push(compilePass(root, p, scalars))
  const program: Program = {
    copy: false,
    sources,
    output,
    constants: scalars.constants.length,
    scalars: scalars.slots.size,
    registers: passes.reduce((most, pass) => Math.max(most, registersOf(pass)), 1),
    passes,
  }
  return { program, constants: scalars.constants, key: JSON.stringify(program) }
}

/** The program that moves a tensor's bytes as they are. */
export function compileCopy(dtype: DType): Compiled {
  const strips: StripOp[] = isFloat(dtype) ? [{ kind: 'load', to: 0, source: 0 }] : []
  const program: Program = { copy: true, sources: [dtype], output: dtype, constants: 0, scalars: 0, registers: 1, passes: [{ scalars: [], strips, folds: [], output: null }] }
  return { program, constants: [], key: JSON.stringify(program) }
}

interface Scalars {
  readonly slots: ReadonlyMap<Tensor, number>
  readonly constants: readonly number[]
}

/** Gives every scalar node a slot, constants first. */
function numberScalars(root: Tensor): Scalars {
  const constants: Tensor[] = []
  const others: Tensor[] = []
  visit([root], t => {
    if (t.op === 'constant') constants.push(t)
    else if (isNumber(t)) others.push(t)
  })
  return { slots: new Map([...constants, ...others].map((t, i) => [t, i])), constants: constants.map(t => t.arg as number) }
}

/** Folds and what is computed from them alone: one number for the whole tensor. */
const isNumber = (t: Tensor): boolean => t.shape.length === 0

/** Each node once, inputs before what uses them. */
function visit(roots: readonly Tensor[], see: (t: Tensor) => void, into: (t: Tensor) => boolean = () => true): void {
  const seen = new Set<Tensor>()
  const walk = (t: Tensor): void => {
    if (seen.has(t)) return
    seen.add(t)
    if (into(t)) t.inputs.forEach(walk)
    see(t)
  }
  roots.forEach(walk)
}

function compilePass(root: Tensor, p: number, { slots }: Scalars): Pass {
  const slot = (t: Tensor): number => slots.get(t)!
  const scalars: ScalarOp[] = []
  const folding: { readonly node: Tensor; readonly kind: Fold['kind'] }[] = []
  visit([root], t => {
    if (isNumber(t) && isMap(t.op) && t.level === p) scalars.push({ op: t.op as ScalarOp['op'], to: slot(t), inputs: t.inputs.map(slot) })
    if (t.op === 'sum' && t.level === p + 1) folding.push({ node: t, kind: 'sum' })
    if (t.op === 'largest' && t.level === p + 2) folding.push({ node: t, kind: 'high' })
    if (t.op === 'largest' && t.level === p + 1) folding.push({ node: t, kind: 'low' })
  })
  const wanted = p === root.level ? [root] : []
  const { strips, registerOf } = allocate([...folding.map(f => f.node.inputs[0]!), ...wanted], slot)
  const folds = folding.map(({ node, kind }): Fold => {
    const register = registerOf(node.inputs[0]!)
    return kind === 'sum' ? { kind, register, to: slot(node) } : { kind, register, rank: slot(node.inputs[1]!), to: slot(node) }
  })
  return { scalars, strips, folds, output: p === root.level ? registerOf(root) : null }
}

/** Kernel calls for `roots` in an order that reuses registers as soon as their last reader has run; the roots' own registers stay. */
function allocate(roots: readonly Tensor[], slot: (t: Tensor) => number): { strips: StripOp[]; registerOf: (t: Tensor) => number } {
  const readers = new Map<Tensor, number>()
  const order: Tensor[] = []
  const fused = new Set<Tensor>()
  const keep = new Set(roots)
  const count = (t: Tensor): void => void readers.set(t, (readers.get(t) ?? 0) + 1)
  visit(
    roots,
    t => {
      if (isNumber(t)) return
      order.push(t)
      for (const input of t.inputs) if (!isNumber(input)) count(input)
    },
    t => !isNumber(t),
  )
  for (const t of order) {
    const product = t.op === 'add' ? scaled(t) : null
    if (product && readers.get(product) === 1 && !keep.has(product)) fused.add(product)
  }
  const registers = new Map<Tensor, number>()
  const free: number[] = []
  let used = 0
  const release = (t: Tensor): void => {
    readers.set(t, readers.get(t)! - 1)
    if (readers.get(t) === 0 && !keep.has(t)) free.push(registers.get(t)!)
  }
  const strips: StripOp[] = []
  for (const t of order) {
    if (fused.has(t)) continue
    const product = t.op === 'add' ? t.inputs.find(i => fused.has(i)) : undefined
    const inputs = product ? [t.inputs[0] === product ? t.inputs[1]! : t.inputs[0]!, ...withScalarLast(product)] : t.inputs
    const operands = inputs.map((i): Operand => (isNumber(i) ? asScalar(slot(i)) : registers.get(i)!))
    for (const i of inputs) if (!isNumber(i)) release(i) // before the result is placed: elementwise ops may write over their input
    const to = free.pop() ?? used++
    registers.set(t, to)
    if (t.op === 'source') strips.push({ kind: 'load', to, source: t.arg as number })
    else if (t.op === 'random') strips.push({ kind: 'random', to, label: labelWord(t.arg as string) })
    else strips.push({ kind: 'map', to, ...(product ? { kernel: 'addmul_vvs', operands } : kernelFor(t, operands)) })
  }
  return { strips, registerOf: t => registers.get(t)! }
}

/** The input of an `add` that is a strip times a scalar, if just one is: it can be fused. */
function scaled(add: Tensor): Tensor | null {
  const products = add.inputs.filter(i => i.op === 'mul' && !isNumber(i) && i.inputs.some(isNumber))
  const product = products.at(-1)
  return product && add.inputs.every(i => !isNumber(i)) && add.inputs[0] !== add.inputs[1] ? product : null
}
const withScalarLast = (mul: Tensor): readonly Tensor[] => (isNumber(mul.inputs[0]!) ? [mul.inputs[1]!, mul.inputs[0]!] : mul.inputs)

const COMMUTATIVE: ReadonlySet<string> = new Set(['add', 'mul', 'max', 'min', 'eq'])

function kernelFor(t: Tensor, operands: readonly Operand[]): { kernel: string; operands: readonly Operand[] } {
  assert(isMap(t.op) && !isFold(t.op), `${t.op} is an elementwise op`)
  if (COMMUTATIVE.has(t.op) && isScalar(operands[0]!)) return { kernel: `${t.op}_vs`, operands: [operands[1]!, operands[0]!] }
  const letters = operands.map(o => (isScalar(o) ? 's' : 'v'))
  if (t.op === 'where' && letters[0] === 's') return { kernel: 'pick', operands }
  return { kernel: `${t.op}_${(t.op === 'where' ? letters.slice(1) : letters).join('')}`, operands }
}

function registersOf(pass: Pass): number {
  return pass.strips.reduce((most, s) => Math.max(most, s.to + 1), 0)
}

/** A label as the 32-bit word it is in the random generator's counter: numbers as they are, words by FNV-1a. */
function labelWord(label: string): number {
  if (/^\d{1,9}$/.test(label)) return Number(label)
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(label)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}
