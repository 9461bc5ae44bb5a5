// Times whole processes, from start to exit: what a user waits for.
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const CLI = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const NOISE = 4000 // characters of an error that are shown

// mergekit's command line, with its peak memory written to file descriptor 3 at the end.
const MERGEKIT = `import os, resource, runpy, sys
try:
    runpy.run_module('mergekit.scripts.run_yaml', run_name='__main__', alter_sys=True)
finally:
    os.write(3, str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024).encode())`
const MERGEKIT_FLAGS = ['--lazy-unpickle', '--no-copy-tokenizer', '--no-write-model-card', '--quiet'] // the fastest way to the same weights

/** Merganser's command line. Gives seconds and peak resident bytes. */
export const runMerge = ({ recipe, out, threads, memory }) =>
  withoutOutput(out, () =>
    run(process.execPath, [
      '--import',
      join(HERE, 'rss.mjs'),
      CLI,
      'merge',
      recipe,
      out,
      '--force',
      '--threads',
      String(threads),
      '--json',
      ...(memory ? ['--memory', memory] : []),
    ]),
  )

/** The floor under a merge of `inputs`, which are safetensors files. */
export const runFloor = ({ inputs, out, threads }) =>
  withoutOutput(out, () => run(process.execPath, [join(HERE, 'floor.mjs'), '--threads', String(threads), '--out', out, ...inputs]))

/** mergekit's, or null when it took longer than `timeoutMs`. */
export const runMergekit = ({ python, recipe, out, timeoutMs }) => withoutOutput(out, () => run(python, ['-c', MERGEKIT, recipe, out, ...MERGEKIT_FLAGS], timeoutMs))

/** How long mergekit takes to start before it looks at a recipe. */
export const importMergekit = python => run(python, ['-c', 'import mergekit.scripts.run_yaml'])

export const makeModels = flags => run(process.execPath, [join(HERE, 'make.mjs'), ...flags])

/** Every run writes a fresh file, and none but the last lies in memory. */
async function withoutOutput(out, measure) {
  rmSync(out, { recursive: true, force: true })
  try {
    return await measure()
  } finally {
    for (const path of [out, `${out}.partial`]) rmSync(path, { recursive: true, force: true })
  }
}

function run(command, args, timeoutMs = 0) {
  const begun = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'], timeout: timeoutMs, killSignal: 'SIGKILL' })
  let [errors, peak] = ['', '']
  child.stderr.on('data', data => {
    errors = (errors + data).slice(-NOISE)
  })
  child.stdio[3].on('data', data => {
    peak += data
  })
  return new Promise((resolve, reject) => {
    let seconds = 0
    child.on('error', reject)
    child.on('exit', () => {
      seconds = (performance.now() - begun) / 1000
    })
    child.on('close', (code, signal) => {
      if (code === 0) resolve({ seconds, peak: Number(peak) })
      else if (signal === 'SIGKILL' && timeoutMs > 0 && seconds * 1000 >= timeoutMs) resolve(null)
      else reject(new Error(`${command} ${args.join(' ')} failed (${signal ?? code}):\n${errors}`))
    })
  })
}
