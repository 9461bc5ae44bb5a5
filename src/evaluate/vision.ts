import { MergeError } from '../errors.ts'
import { readBytes, readTensors } from './_files.ts'
import { type Graph, type Network, openGraph } from './engine.ts'
import type { Evaluation } from './evaluation.ts'
import { type Split, type VisionTask, visionSuite } from './suites.ts'
import type { Weights } from './weights.ts'

/** How many images were given their label; `correct / total` is the accuracy. */
export interface Accuracy {
  readonly correct: number
  readonly total: number
}

/** The image tasks of `folder` (zoo/vision), ready for models: each trunk meets the frozen head of each task. */
export async function openVision<T extends VisionTask>(folder: string, tasks: readonly T[], split: Split): Promise<Evaluation<T, Accuracy>> {
  const suite = visionSuite(folder)
  const head = await openGraph(await readBytes(suite.head), suite.head)
  const parts = new Map(await Promise.all(tasks.map(async task => [task, await openTask(head, suite.tasks[task].head, suite.tasks[task][split])] as const)))
  const trunk = await openGraph(await readBytes(suite.graph), suite.graph)
  return {
    async score<U extends T = T>(weights: Weights, some?: readonly U[]) {
      const features = trunk.bind(weights, ['images'])
      const all = tasks as readonly T[] as readonly U[] // U is T where `some` is not given
      const scores = {} as Record<U, Accuracy>
      for (const task of some ?? all) scores[task] = await countCorrect(features, parts.get(task) as Task)
      return scores
    },
    async close() {
      await Promise.all([head.close(), trunk.close()])
    },
  }
}

/** The accuracy of one model; `openVision` saves opening the files again for the next. */
export async function scoreVision<T extends VisionTask>(folder: string, weights: Weights, tasks: readonly T[], split: Split): Promise<Record<T, Accuracy>> {
  const vision = await openVision(folder, tasks, split)
  try {
    return await vision.score(weights)
  } finally {
    await vision.close()
  }
}

interface Task {
  readonly head: Network
  readonly images: Uint8Array
  readonly labels: Uint8Array
}

async function openTask(head: Graph, headFile: string, dataFile: string): Promise<Task> {
  const weights = new Map<string, { shape: readonly number[]; data: Float32Array }>()
  for (const [name, { dims, data }] of await readTensors(headFile)) if (data instanceof Float32Array) weights.set(name, { shape: dims, data })
  const data = await readTensors(dataFile)
  const images = data.get('images')?.data
  const labels = data.get('labels')?.data
  if (!(images instanceof Uint8Array) || !(labels instanceof Uint8Array) || images.length !== labels.length * SIDE * SIDE) {
    throw new MergeError('expected `images` U8 [N,28,28] and `labels` U8 [N]', { where: dataFile, fix: 'copy the file from the zoo again' })
  }
  return { head: head.bind(weights, ['features']), images, labels }
}

const SIDE = 28 // pixels, as graph.onnx has it
const IMAGES_PER_BATCH = 100 // 25 to 1,000 are equally fast; a hundred keeps memory small

async function countCorrect(features: Network, { head, images, labels }: Task): Promise<Accuracy> {
  let correct = 0
  for (let start = 0; start < labels.length; start += IMAGES_PER_BATCH) {
    const end = Math.min(start + IMAGES_PER_BATCH, labels.length)
    const batch = { dims: [end - start, 1, SIDE, SIDE], data: images.subarray(start * SIDE * SIDE, end * SIDE * SIDE) }
    const { logits } = await head(await features({ images: batch }))
    correct += countHits(logits?.data as Float32Array, labels.subarray(start, end)) // head.onnx gives float32 `logits`
  }
  return { correct, total: labels.length }
}

function countHits(logits: Float32Array, labels: Uint8Array): number {
  const classes = logits.length / labels.length
  const hits = labels.filter((label, row) => {
    const scores = logits.subarray(row * classes, (row + 1) * classes)
    return scores.indexOf(Math.max(...scores)) === label // the first of equals, as argmax has it
  })
  return hits.length
}
