import { spawn } from 'node:child_process'

export interface Outcome {
  readonly stdout: string
  /** Its end. */
  readonly stderr: string
  /** Null when it was ended from outside, or never began. */
  readonly code: number | null
  readonly problem: { readonly kind: 'missing' | 'time' | 'output' | 'signal'; readonly detail: string } | null
}

const MAX_OUTPUT = 64 * 2 ** 20 // characters; results of whole benchmark suites have some megabytes
const MAX_STDERR = 4000 // characters that an error message repeats

/** Runs a program to its end, without a shell. It, and whatever it has started, ends when the time is over or this process does. */
export function runProgram([program, ...args]: readonly string[], folder: string, timeoutMs: number): Promise<Outcome> {
  return new Promise(resolve => {
    const isGroup = process.platform !== 'win32' // there is no group to end on Windows
    const child = spawn(program!, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], detached: isGroup })
    let stdout = ''
    let stderr = ''
    let problem: Outcome['problem'] = null
    const end = (): void => {
      try {
        if (isGroup && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
        else child.kill('SIGKILL')
      } catch {
        // it has ended already
      }
    }
    const interrupted = (signal: NodeJS.Signals): void => {
      end()
      process.kill(process.pid, signal) // and now as if nobody had listened
    }
    const onInterrupt = (): void => interrupted('SIGINT')
    const onTerminate = (): void => interrupted('SIGTERM')
    process.once('SIGINT', onInterrupt).once('SIGTERM', onTerminate).once('exit', end)
    const timer = setTimeout(() => {
      problem = { kind: 'time', detail: `${timeoutMs / 1000} s` }
      end()
    }, timeoutMs)
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      stdout += piece
      if (stdout.length <= MAX_OUTPUT) return
      problem = { kind: 'output', detail: `${MAX_OUTPUT} characters` }
      stdout = ''
      end()
    })
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      stderr = (stderr + piece).slice(-MAX_STDERR)
    })
    const finish = (outcome: Outcome): void => {
      clearTimeout(timer)
      process.off('SIGINT', onInterrupt).off('SIGTERM', onTerminate).off('exit', end)
      resolve(outcome)
    }
    child.on('error', error => finish({ stdout, stderr, code: null, problem: { kind: 'missing', detail: error.message } }))
    child.on('close', (code, signal) => finish({ stdout, stderr, code, problem: problem ?? (signal ? { kind: 'signal', detail: signal } : null) }))
  })
}
