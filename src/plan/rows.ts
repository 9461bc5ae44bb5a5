import { isMap, isWhole } from '../algebra/ops.ts'
import type { Tensor } from '../algebra/tensor.ts'

// Which numbers of rows a pass has to find, and which it has from earlier ones (`kept`).

/** Each node once, inputs before what uses them. */
export function visit(roots: readonly Tensor[], see: (t: Tensor) => void, into: (t: Tensor) => boolean = () => true): void {
  const seen = new Set<Tensor>()
  const walk = (t: Tensor): void => {
    if (seen.has(t)) return
    seen.add(t)
    if (into(t)) t.inputs.forEach(walk)
    see(t)
  }
  roots.forEach(walk)
}

/** What is found between passes ends the way down a formula. */
export const isInner = (t: Tensor): boolean => (t.space === 'elements' || t.space === 'rows') && !isWhole(t.op)

/** Adds to `kept` what is arithmetic on its numbers alone, and gives it in order: none of it needs a look at elements. */
export function joinReady(ends: readonly Tensor[], kept: Set<Tensor>): readonly Tensor[] {
  const ready: Tensor[] = []
  const see = (t: Tensor): void => {
    if (t.space !== 'rows' || kept.has(t) || !isMap(t.op) || !t.inputs.every(i => i.space === 'number' || kept.has(i))) return
    kept.add(t)
    ready.push(t)
  }
  visit(ends, see, t => isInner(t) && !kept.has(t))
  return ready
}

/** The numbers of rows that meet elements on the way to `ends`, and are not kept. */
export function meetingRows(ends: readonly Tensor[], kept: ReadonlySet<Tensor>): readonly Tensor[] {
  const rows: Tensor[] = []
  visit(
    ends,
    t => void (t.space === 'rows' && !kept.has(t) && rows.push(t)),
    t => t.space === 'elements' && isInner(t),
  )
  return rows
}
