import { readText } from '../bytes/file.ts'
import { folderSink } from '../bytes/folder.ts'
import { sha256 } from '../bytes/hash.ts'
import type { InputLocator } from '../bytes/low_rank.ts'
import { hashFile, type Store, withTemporaryFolder } from '../bytes/store.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { MergeError } from '../errors.ts'
import { execute, fingerprintOf } from '../execute/execute.ts'
import type { Plan } from '../plan/plan.ts'
import { loadWeights, runInMemory } from './load.ts'
import type { Weights } from './weights.ts'

/** A model to be evaluated: a checkpoint, or a merge that need not exist on disk. */
export interface Subject {
  /** As tables call it. */
  readonly name: string
  /** Equal for models of the same contents. `memory` spares reading files again. */
  identity(memory: Store | null): Promise<string>
  weights(): Promise<Weights>
  /** The text of a file beside the weights; null where there is none. */
  text(file: string): Promise<string | null>
  /** Gives `use` a folder that holds the model; a merge is written to a temporary one. */
  inFolder<T>(use: (folder: string) => Promise<T>): Promise<T>
}

/**
 * A checkpoint as a model to be evaluated.
 *
 * @example
 * const base = modelSubject(await open('zoo/vision/base'))
 * console.log(base.name, (await base.weights()).size)
 */
export function modelSubject(checkpoint: Checkpoint, name = checkpoint.ref): Subject {
  return {
    name,
    async identity(memory) {
      const weights = await Promise.all(checkpoint.files.map(async f => [f.name, await contentsOf(f.locator, memory, f.name)]))
      const besides = await Promise.all(checkpoint.sidecars.map(async s => [s.name, await hashFile(s.path, memory, s.name)]))
      return hashOf(['model', weights, checkpoint.configText, besides])
    },
    weights: () => loadWeights(checkpoint),
    async text(file) {
      if (file === 'config.json') return checkpoint.configText
      const sidecar = checkpoint.sidecars.find(s => s.name === file)
      return sidecar ? readText(sidecar.path, `${checkpoint.ref}/${file}`) : null
    },
    inFolder: use => use(checkpoint.path),
  }
}

/**
 * The model that a plan would write, merged in memory when its weights are asked for: with its dtype's rounding, and its tokenizer and config.
 *
 * @example
 * const recipe = parse('base + 0.5*(mnist - base)', { models: { base: 'zoo/vision/base', mnist: 'zoo/vision/mnist' } })
 * const merged = mergeSubject(plan(recipe, await openModels(recipe)), 'half')
 * console.log((await merged.weights()).get('final_norm.weight').shape)
 */
export function mergeSubject(plan: Plan, name: string): Subject {
  return {
    name,
    async identity(memory) {
      const inputs = await Promise.all(plan.inputs.map(async i => [i, await contentsOf(i.locator, memory, i.name)] as const))
      const known = new Map(inputs)
      const besides = await Promise.all(plan.companions.map(async c => [c.name, 'path' in c ? await hashFile(c.path, memory, c.name) : c.text]))
      return hashOf(['merge', await fingerprintOf(plan, false, input => [known.get(input)!]), besides])
    },
    weights: () => runInMemory(plan),
    async text(file) {
      const companion = plan.companions.find(c => c.name === file)
      if (!companion) return null
      return 'text' in companion ? companion.text : readText(companion.path, file)
    },
    inFolder: use =>
      withTemporaryFolder(async folder => {
        const sink = folderSink(`${folder}/model`)
        for await (const _ of execute(plan, sink)) {
          // the events matter to nobody here
        }
        return use(`${folder}/model`)
      }),
  }
}

/**
 * Weights in memory as a model to be evaluated, with the files of `like`: for a search, which computes many models from task vectors it keeps.
 * `key` names their contents for the cache, such as the coefficients beside the identity of what they weigh.
 *
 * @example
 * const base = modelSubject(await open('zoo/vision/base'))
 * const weights = await base.weights()
 * const half = new Map([...weights].map(([name, { shape, data }]) => [name, { shape, data: data.map(x => x / 2) }]))
 * console.log((await weightsSubject('half', half, base, `half of ${await base.identity(null)}`).weights()).size)
 */
export function weightsSubject(name: string, weights: Weights, like: Subject, key: string): Subject {
  return {
    name,
    identity: () => hashOf(['weights', key]),
    weights: async () => weights,
    text: file => like.text(file),
    inFolder() {
      throw new MergeError(`${name} is in memory only, and a command needs a folder`, { fix: 'evaluate it with an engine that runs in this process, or write it first' })
    },
  }
}

/** A hash of the bytes, or of what they are computed from. */
async function contentsOf(locator: InputLocator, memory: Store | null, name: string): Promise<string> {
  if ('file' in locator) return hashFile(locator.file, memory, name)
  if ('memory' in locator) return sha256(locator.memory)
  const { files, tensors } = locator.lowRank
  return hashOf([await Promise.all(files.map(file => contentsOf(file, memory, name))), tensors])
}

const hashOf = (value: unknown): Promise<string> => sha256(new TextEncoder().encode(JSON.stringify(value)))
