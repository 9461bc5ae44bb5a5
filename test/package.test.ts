import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { REPOSITORY, temporaryFolder } from './front.ts'

// For someone who only installed the package: `npm pack`, an empty folder, `npm install`.

const folder = temporaryFolder()
const run = (command: string, ...args: readonly string[]) => spawnSync(command, args, { cwd: folder, encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } })
const bytesIn = (path: string): number => (statSync(path).isDirectory() ? readdirSync(path).reduce((sum, name) => sum + bytesIn(join(path, name)), 0) : statSync(path).size)

test('the packed package installs, demonstrates itself and type-checks', () => {
  const packed = execFileSync('npm', ['pack', '--pack-destination', folder, '--loglevel=error'], { cwd: REPOSITORY, encoding: 'utf8' }).trim().split('\n').at(-1)!
  writeFileSync(join(folder, 'package.json'), '{ "name": "user", "private": true, "type": "module" }')
  const installed = run('npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', `./${packed}`)
  expect(installed.stderr.replaceAll(/^npm warn.*\n?/gm, '')).toBe('')

  expect(bytesIn(join(folder, 'node_modules/merganser/zoo'))).toBeLessThanOrEqual(5_000_000)
  const demo = run('npx', 'merganser', 'demo')
  expect(demo.stdout).toContain('mnist        83.4            95.5    95.5      95.5')
  expect(demo.stdout).toContain("keeps 99.0 % of the experts' accuracy on both tasks")
  expect(demo.status).toBe(0)

  writeFileSync(
    join(folder, 'user.ts'),
    `import { execute, memorySink, openModels, parse, plan, type Event, type Plan } from 'merganser'
const recipe = parse('0.5*a + 0.5*b', { models: { a: 'a', b: 'b' } })
const merge: Plan = plan(recipe, await openModels(recipe), { threads: 2 })
for await (const event of execute(merge, memorySink())) { const e: Event = event; if (e.kind === 'done') console.log(e.written.toFixed()) }
`,
  )
  const tsc = join(REPOSITORY, 'node_modules/typescript/bin/tsc')
  const flags = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--target', 'es2022', '--module', 'nodenext', '--types', '']
  expect(run(process.execPath, tsc, ...flags, 'user.ts').stdout).toBe('')
})
