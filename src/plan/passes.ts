import { isFold, isMap } from '../algebra/ops.ts'
import type { Tensor } from '../algebra/tensor.ts'
import { type DType, type FloatDType, isFloat } from '../dtype.ts'
import { assert } from '../errors.ts'
import { fuse, fuseSum, isNumber } from './fuse.ts'
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
  assert(!isNumber(root), 'the formula of a tensor gives a tensor')
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
  const folding: { readonly node: Tensor; readonly kind: 'sum' | 'count_high' | 'count_low' }[] = []
  visit([root], t => {
    if (isNumber(t) && isMap(t.op) && t.level === p) scalars.push({ op: t.op as ScalarOp['op'], to: slot(t), inputs: t.inputs.map(slot) })
    if (t.op === 'sum' && t.level === p + 1) folding.push({ node: t, kind: 'sum' })
    if (t.op === 'largest' && t.level === p + 2) folding.push({ node: t, kind: 'count_high' })
    if (t.op === 'largest' && t.level === p + 1) folding.push({ node: t, kind: 'count_low' })
  })
  const isLast = p === root.level
  const readers = countReaders([...folding.map(f => f.node.inputs[0]!), ...(isLast ? [root] : [])])
  const gathered = folding.map(f => ({ ...f, ...(f.kind === 'sum' ? fuseSum(f.node.inputs[0]!, readers) : { kind: f.kind, inputs: [f.node.inputs[0]!] }) }))
  const { strips, registerOf } = allocate([...gathered.flatMap(f => f.inputs), ...(isLast ? [root] : [])], slot)
  const folds = gathered.map(({ node, kind, inputs }): Fold => {
    const registers = inputs.map(registerOf)
    return kind === 'count_high' || kind === 'count_low' ? { kind, registers, rank: slot(node.inputs[1]!), to: slot(node) } : { kind, registers, to: slot(node) }
  })
  return { scalars, strips, folds, output: isLast ? registerOf(root) : null }
}

/** How many ops read each strip; what is read from outside counts as well. */
function countReaders(roots: readonly Tensor[]): Map<Tensor, number> {
  const readers = new Map<Tensor, number>()
  const count = (t: Tensor): void => void (isNumber(t) || readers.set(t, (readers.get(t) ?? 0) + 1))
  roots.forEach(count)
  visit(
    roots,
    t => isNumber(t) || t.inputs.forEach(count),
    t => !isNumber(t),
  )
  return readers
}

/** Kernel calls for `roots` in an order that reuses registers as soon as their last reader has run; the roots' own registers stay. */
function allocate(roots: readonly Tensor[], slot: (t: Tensor) => number): { strips: StripOp[]; registerOf: (t: Tensor) => number } {
  const order: Tensor[] = []
  visit(
    roots,
    t => void (isNumber(t) || order.push(t)),
    t => !isNumber(t),
  )
  const readers = countReaders(roots)
  const isInner = (t: Tensor): boolean => !isNumber(t) && readers.get(t) === 1 && !roots.includes(t)
  const swallowed = new Set<Tensor>()
  const calls: Call[] = []
  for (const node of order.toReversed()) {
    if (swallowed.has(node)) continue
    const fused = fuse(node, isInner)
    for (const inner of fused?.inner ?? []) swallowed.add(inner)
    calls.unshift({ node, kernel: fused?.kernel ?? null, inputs: fused?.inputs ?? node.inputs })
  }

  const left = new Map<Tensor, number>()
  for (const { inputs } of calls) for (const i of inputs) left.set(i, (left.get(i) ?? 0) + 1)
  for (const t of roots) left.set(t, Number.POSITIVE_INFINITY)
  const registers = new Map<Tensor, number>()
  const free: number[] = []
  let used = 0
  const strips = calls.map(({ node, kernel, inputs }): StripOp => {
    const operands = inputs.map((i): Operand => (isNumber(i) ? asScalar(slot(i)) : registers.get(i)!))
    for (const i of inputs) {
      left.set(i, left.get(i)! - 1)
      if (!isNumber(i) && left.get(i) === 0) free.push(registers.get(i)!) // before the result is placed: elementwise ops may write over their input
    }
    const to = free.pop() ?? used++
    registers.set(node, to)
    if (node.op === 'source') return { kind: 'load', to, source: node.arg as number }
    if (node.op === 'random') return { kind: 'random', to, label: labelWord(node.arg as string) }
    return { kind: 'map', to, ...(kernel ? { kernel, operands } : kernelFor(node, operands)) }
  })
  return { strips, registerOf: t => registers.get(t)! }
}

/** One kernel call; `kernel` is null where op and operands name it. */
interface Call {
  readonly node: Tensor
  readonly kernel: string | null
  readonly inputs: readonly Tensor[]
}

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
