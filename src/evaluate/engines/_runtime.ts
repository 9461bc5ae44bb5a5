import type { InferenceSession, Tensor } from 'onnxruntime-web'

/** What of ONNX Runtime is used: both packages have it. */
export interface Runtime {
  readonly name: string
  readonly Tensor: typeof Tensor
  open(bytes: Uint8Array): Promise<InferenceSession>
}

/** onnxruntime-node where it is installed (0.4 of the time on zoo/text), else onnxruntime-web, which comes along. Both print only errors. */
export async function loadRuntime(threads: number | null = null): Promise<Runtime> {
  return (await loadNative(threads)) ?? (await loadWeb(threads))
}

const NATIVE = 'onnxruntime-node' // in a variable, so that nothing asks for the package when Merganser is built

async function loadNative(threads: number | null): Promise<Runtime | null> {
  try {
    const { InferenceSession, Tensor, env } = (await import(NATIVE)) as typeof import('onnxruntime-web') // the same interface: both re-export onnxruntime-common
    const name = `onnxruntime-node ${env.versions.node ?? env.versions.common}`
    const options = { logSeverityLevel: 3, ...(threads === null ? {} : { intraOpNumThreads: threads }) } as const
    return { name, Tensor, open: bytes => InferenceSession.create(bytes, options) }
  } catch {
    return null // not installed, or not for this platform: the other one runs everywhere
  }
}

async function loadWeb(threads: number | null): Promise<Runtime> {
  const { InferenceSession, Tensor, env } = await import('onnxruntime-web')
  env.wasm.numThreads = threads ?? usualThreads()
  env.logLevel = 'error' // its warnings are about the placement of nodes, nothing a user can act on
  const name = `onnxruntime-web ${env.versions.web ?? env.versions.common}`
  return { name, Tensor, open: bytes => InferenceSession.create(bytes, { executionProviders: ['wasm'], logSeverityLevel: 3 }) }
}

const MAX_THREADS = 4 // the limit of onnxruntime's own default

/** 2 threads take 0.6 of the time of one on the zoo's graphs. Node 20 does not tell the number of cores through a web API: there, 2. */
function usualThreads(): number {
  if (globalThis.crossOriginIsolated === false) return 1 // a page without these headers has no shared memory; undefined in Node
  return Math.min(MAX_THREADS, globalThis.navigator?.hardwareConcurrency ?? 2)
}
