// `node --import bench/rss.mjs PROGRAM …` writes the process's peak resident bytes to file descriptor 3 when it ends.
import { writeSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

// Worker threads import this too; their memory is the process's.
if (isMainThread) process.on('exit', () => writeSync(3, String(process.resourceUsage().maxRSS * 1024)))
