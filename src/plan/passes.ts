import { isMap } from '../algebra/ops.ts'
import type { Tensor } from '../algebra/tensor.ts'
import { type DType, type FloatDType, isFloat } from '../dtype.ts'
import { assert } from '../errors.ts'
import { asScalar, type ElementOp, type Fold, isScalar, type Operand, type Pass, type Program, type ScalarOp } from './program.ts'

/** A formula's program, and what the task must put into its slots. */
export interface Compiled {
  readonly program: Program
  readonly constants: readonly number[]
  /** Equal for programs that differ in nothing but their constants. */
  readonly key: string
}

/** Folds and what is computed from them alone: one number for the whole tensor. */
const isNumber = (t: Tensor): boolean => t.shape.length === 0

/**
 * Cuts a formula into passes over its inputs and each pass into ops on elements.
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
    passes,
  }
  return { program, constants: scalars.constants, key: JSON.stringify(program) }
}

/** The program that moves a tensor's bytes as they are. */
export function compileCopy(dtype: DType): Compiled {
  const ops: ElementOp[] = isFloat(dtype) ? [{ kind: 'load', source: 0 }] : []
  const program: Program = { copy: true, sources: [dtype], output: dtype, constants: 0, scalars: 0, passes: [{ scalars: [], ops, folds: [], output: null }] }
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
  const folded: Tensor[] = []
  visit([root], t => {
    if (isNumber(t) && isMap(t.op) && t.level === p) scalars.push({ op: t.op, to: slot(t), inputs: t.inputs.map(slot) })
    if ((t.op === 'sum' || t.op === 'largest') && t.level === p + 1) folded.push(t)
  })
  const isLast = p === root.level
  const { ops, resultOf } = linearise([...folded.map(t => t.inputs[0]!), ...(isLast ? [root] : [])], slot)
  const folds = folded.map((t): Fold => {
    const [of, to] = [resultOf(t.inputs[0]!), slot(t)]
    return t.op === 'sum' ? { kind: 'sum', of, to } : { kind: 'select', of, rank: slot(t.inputs[1]!), to }
  })
  return { scalars, ops, folds, output: isLast ? resultOf(root) : null }
}

/** The ops which `roots` need, inputs first. */
function linearise(roots: readonly Tensor[], slot: (t: Tensor) => number): { ops: ElementOp[]; resultOf: (t: Tensor) => number } {
  const results = new Map<Tensor, number>()
  const ops: ElementOp[] = []
  visit(
    roots,
    t => {
      if (isNumber(t)) return
      results.set(t, ops.length)
      ops.push(elementOp(t, i => (isNumber(i) ? asScalar(slot(i)) : results.get(i)!)))
    },
    t => !isNumber(t),
  )
  return { ops, resultOf: t => results.get(t)! }
}

function elementOp(t: Tensor, operand: (t: Tensor) => Operand): ElementOp {
  if (t.op === 'source') return { kind: 'load', source: t.arg as number }
  if (t.op === 'random') return { kind: 'random', label: labelWord(t.arg as string) }
  assert(isMap(t.op), `${t.op} is an elementwise op`)
  const operands = t.inputs.map(operand)
  if (t.op === 'where' && !isScalar(operands[0]!)) {
    const [test, yes, no] = operands as [Operand, Operand, Operand]
    if (isPlusZero(t.inputs[2]!)) return { kind: 'map', op: 'keep', operands: [test, yes] }
    if (isPlusZero(t.inputs[1]!)) return { kind: 'map', op: 'drop', operands: [test, no] }
  }
  return { kind: 'map', op: t.op, operands }
}

const isPlusZero = (t: Tensor): boolean => t.op === 'constant' && Object.is(t.arg, 0)

/** A label as the 32-bit word it is in the random generator's counter: numbers as they are, words by FNV-1a. */
function labelWord(label: string): number {
  if (/^\d{1,9}$/.test(label)) return Number(label)
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(label)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}
