// Where the models lie while they are measured, and on what machine.
import { existsSync, mkdirSync, statfsSync } from 'node:fs'
import { availableParallelism, cpus, freemem, tmpdir } from 'node:os'
import { join } from 'node:path'

const MEMORY = '/dev/shm' // Linux's memory file system
const RUNNING = 1.5e9 // bytes of memory left for the merge itself and whatever else runs
const KINDS = { 16914836: 'tmpfs', 61267: 'ext4', 1481003842: 'xfs', 2435016766: 'btrfs', 2035054128: 'overlayfs', 801189825: 'zfs', 26985: 'nfs' } // statfs(2)

/** A folder with room for the bytes that `need(folder)` tells: in a memory file system, so that no disk is measured, if it has it. */
export function choosePlace(need) {
  const folder = join(MEMORY, 'merganser-bench')
  const fits = existsSync(MEMORY) && Math.min(freeIn(MEMORY), freemem() - RUNNING) > need(folder)
  return fits ? folder : join(tmpdir(), 'merganser-bench')
}

/** Makes the folder; throws when it has not room for `bytes`. */
export function preparePlace(folder, bytes) {
  mkdirSync(folder, { recursive: true })
  const free = freeIn(folder)
  if (free < bytes) throw new Error(`${folder} has ${gigabytes(free)} free, but ${gigabytes(bytes)} are needed: choose another with --dir and --out, or fewer --params`)
}

/** One line that says what the numbers were measured on. */
export function describeMachine({ dir, out, threads }) {
  const model = cpus()[0]?.model.trim() ?? process.arch
  const places = kindOf(dir) === kindOf(out) ? `models and output on ${kindOf(dir)}` : `models on ${kindOf(dir)}, output on ${kindOf(out)}`
  return `${model}, ${availableParallelism()} processors, ${threads} threads used; Node ${process.version}; ${places}`
}

function kindOf(folder) {
  const { type } = statfsSync(folder)
  return KINDS[type] ?? `file system 0x${type.toString(16)}`
}

function freeIn(folder) {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

const gigabytes = bytes => `${(bytes / 1e9).toFixed(1)} GB`
