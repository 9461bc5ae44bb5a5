import { MergeError } from '../errors.ts'
import { fileError } from './file.ts'

/** The error a user can act on when writing `name` failed; a MergeError stays as it is. */
export function writeError(cause: unknown, name: string, where?: string): MergeError {
  if (cause instanceof MergeError) return cause
  const code = codeOf(cause)
  const reason = Object.hasOwn(REASONS, code) ? REASONS[code] : undefined
  if (!reason) return fileError(cause, name, 'written')
  const [what, fix] = reason
  return new MergeError(`${name}${what}`, { where, fix, cause })
}

export const codeOf = (cause: unknown): string => (cause instanceof Error && 'code' in cause ? String(cause.code) : '')

type Reason = readonly [what: string, fix: string]

const FULL: Reason = [': the disk is full', 'free space, then run the same command with --resume']
const FORBIDDEN: Reason = [' cannot be written: permission denied', 'write to a folder of your own']
const BLOCKED: Reason = [' cannot be made: a part of its path is a file', 'choose another folder']

const REASONS: Readonly<Record<string, Reason>> = {
  ENOSPC: FULL,
  EDQUOT: FULL,
  EFBIG: [' would become larger than this file system or your limit (`ulimit -f`) allows', 'write smaller files: `--shard-size 2GB`, or `output: { shard_size: 2GB }`'],
  EROFS: [' cannot be written: the file system is read-only', 'write to another folder'],
  EACCES: FORBIDDEN,
  EPERM: FORBIDDEN,
  EIO: [': the disk failed while writing', 'check the disk, then run the same command with --resume'],
  EISDIR: [' cannot be written: a folder is in its place', 'remove it, then run the same command with --resume'],
  ENOENT: [' cannot be made here', 'choose another folder'],
  ENOTDIR: BLOCKED,
  EEXIST: BLOCKED,
}
