import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { lockFolder } from './_lock.ts'

const folder = mkdtempSync(join(tmpdir(), 'merganser-lock-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A process number that belonged to a process and now does to none. */
const dead = (): number => spawnSync(process.execPath, ['-e', '']).pid

test('of many who come at once exactly one goes on, round after round', async () => {
  const place = join(folder, 'crowd')
  for (let round = 0; round < 20; round++) {
    const all = await Promise.allSettled(Array.from({ length: 12 }, () => lockFolder(place, 'crowd')))
    const held = all.flatMap(r => (r.status === 'fulfilled' ? [r.value] : []))
    expect(held).toHaveLength(1)
    for (const result of all) if (result.status === 'rejected') expect(result.reason.message).toMatch(/^another merge is writing to crowd\n {2}at process \d+\n/)
    expect(readdirSync(place)).toHaveLength(1) // who withdrew left nothing
    await held[0]!.release()
    expect(existsSync(place)).toBe(false)
  }
})

test('the lock of a dead process is taken over, by one of all who try', async () => {
  const place = join(folder, 'stale')
  for (let round = 0; round < 5; round++) {
    mkdirSync(place)
    writeFileSync(join(place, `lock-${dead()}-12345-00000000-0000-0000-0000-000000000000`), '')
    const all = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(place, 'stale')))
    const held = all.flatMap(r => (r.status === 'fulfilled' ? [r.value] : []))
    expect(held).toHaveLength(1)
    expect(readdirSync(place)).toHaveLength(1)
    await held[0]!.release()
  }
})

test.runIf(process.platform === 'linux')('a process number used again is not the process that had the lock', async () => {
  const place = join(folder, 'reused')
  const start = readFileSync(`/proc/${process.ppid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[19]!
  mkdirSync(place)
  writeFileSync(join(place, `lock-${process.ppid}-${start}-0`), '')
  await expect(lockFolder(place, 'reused')).rejects.toThrow(`another merge is writing to reused\n  at process ${process.ppid}\n`)
  rmSync(place, { recursive: true })
  mkdirSync(place)
  writeFileSync(join(place, `lock-${process.ppid}-${Number(start) + 1}-0`), '')
  await (await lockFolder(place, 'reused')).release()
})

test('what a later run needs stays when the lock goes', async () => {
  const place = join(folder, 'kept')
  const { release } = await lockFolder(place, 'kept')
  writeFileSync(join(place, 'journal.jsonl'), '')
  await release()
  expect(readdirSync(place)).toEqual(['journal.jsonl'])
})
