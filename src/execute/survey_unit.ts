import type { Program } from '../plan/program.ts'
import { BLOCK } from '../plan/tiling.ts'
import { computeNumbers, type Helpers, type Known, type Partials, runPass, type Step } from './folds.ts'
import type { Ports, Runner } from './runner.ts'
import type { Piece, SurveyStep } from './survey.ts'

/** What a unit's pieces are run with. */
export interface Tools {
  readonly runner: Runner
  readonly helpers: Helpers
  readonly programs: readonly Program[]
  portsOf(task: Piece['task']): Ports
  startOf(program: Program, task: Piece['task']): Known
}

/** Looks at some pieces of tensors for `numbers` numbers; gives of each what all pieces hold: the sums of its blocks in order, or counts. */
export async function surveyPieces(pieces: readonly Piece[], step: SurveyStep, numbers: number, tools: Tools): Promise<Partials> {
  const blocks = Array.from({ length: numbers }, (): number[] => [])
  const counts = step.kind === 'sum' ? [] : Array.from({ length: numbers }, () => new Uint32Array(65_536))
  for (const piece of pieces) {
    const { into } = piece.task
    const look = await comeTo(piece, tools)
    if (step.kind === 'sum') {
      for (const [fold, partial] of (await look({ kind: 'pass', brackets: [] })).entries()) {
        if (partial.kind === 'sum') for (const place of into[fold]!) for (const block of partial.blocks) blocks[place]!.push(block)
      }
    } else await countPiece(piece, step, counts, look)
  }
  return step.kind === 'sum' ? blocks.map(own => ({ kind: 'sum', blocks: own })) : counts.map(own => ({ kind: 'counts', counts: own }))
}

type Look = (step: Step) => Promise<Partials>

/** Does the passes before the last; gives the way to look at a piece in that one. Whatever is not finite is told of by the pass that writes. */
async function comeTo({ task, start, end }: Piece, { runner, helpers, programs, portsOf, startOf }: Tools): Promise<Look> {
  const program = programs[task.program]!
  const known = startOf(program, task)
  const ports = portsOf(task)
  const run = (pass: number, step: Step): Promise<Partials> => runner.run({ program, pass, step, start, end, known, key: task.key, resident: false }, ports, () => {})
  const last = program.passes.length - 1
  for (const [p, pass] of program.passes.slice(0, last).entries()) await runPass(pass, known, helpers, async step => [await run(p, step)])
  computeNumbers(program.passes[last]!, known, helpers.kernels)
  return step => run(last, step)
}

/** A piece of a block or less is taken as it is and counted here: clearing the engine's counters for each would take longer. */
async function countPiece({ task, start, end }: Piece, step: Exclude<SurveyStep, { kind: 'sum' }>, counts: readonly Uint32Array[], look: Look): Promise<void> {
  const { into } = task
  if (start === 0 && end <= BLOCK) {
    for (const [fold, partial] of (await look({ kind: 'sample' })).entries()) {
      if (partial.kind === 'values') for (const place of into[fold]!) countValues(partial.values, step.kind === 'low' ? step.prefixes[place]! : null, counts[place]!)
    }
    return
  }
  const most = step.kind === 'low' ? into.reduce((n, places) => Math.max(n, places.length), 0) : 1 // two ranks of the same elements have two prefixes
  for (let turn = 0; turn < most; turn++) {
    const partials = await look(step.kind === 'high' ? step : { kind: 'low', prefixes: into.map(places => step.prefixes[places[turn] ?? places[0]!]!) })
    for (const [fold, partial] of partials.entries()) {
      const places = step.kind === 'high' ? into[fold]! : into[fold]!.slice(turn, turn + 1)
      if (partial.kind === 'counts') for (const place of places) for (let bin = 0; bin < 65_536; bin++) counts[place]![bin] = counts[place]![bin]! + partial.counts[bin]!
    }
  }
}

/** As kernels/assembly/count.ts does: floats in the order of their values, and every NaN the same one, above all. */
function countValues(values: Float32Array, prefix: number | null, counts: Uint32Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    const bits = (word & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : word
    const key = (bits ^ ((bits >> 31) | 0x80000000)) >>> 0
    const bin = prefix === null ? key >>> 16 : key >>> 16 === prefix ? key & 0xffff : -1
    if (bin >= 0) counts[bin] = counts[bin]! + 1
  }
}
