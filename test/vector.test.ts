import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { f32, merganser, ROOT, readModel, writeModel } from './command.ts'

// Task vectors as files: extracted, inspected, applied.

const folder = mkdtempSync(join(tmpdir(), 'merganser-vector-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const run = (...args: readonly string[]) => merganser(args, folder)
const TEXT = join(ROOT, 'zoo/text')

writeModel(join(folder, 'base'), { w: f32([1, 2, 3]), norm: f32([1]), steps: { dtype: 'I64', shape: [1], values: [7, 0, 0, 0, 0, 0, 0, 0] } })
writeModel(join(folder, 'tuned'), { w: f32([1.5, 2, 2]), norm: f32([1]), steps: { dtype: 'I64', shape: [1], values: [9, 0, 0, 0, 0, 0, 0, 0] } })
writeModel(join(folder, 'taller'), { w: f32([1, 2, 3, 4]), norm: f32([1]) })
writeModel(join(folder, 'other'), { v: f32([1]) })

describe('vector extract', () => {
  test('writes the differences of floats in float32, and no model', async () => {
    expect(await run('vector', 'extract', '--base', 'base', '--model', 'tuned', '-o', 'tau')).toMatchObject({
      code: 0,
      stderr: 'note: 1 tensor of whole numbers is left out: there is no difference to take, e.g. of steps\n',
    })
    expect(readdirSync(join(folder, 'tau'))).toEqual(['task_vector.safetensors'])
    expect(await readModel(join(folder, 'tau'))).toEqual({ norm: f32([0]), w: f32([0.5, 0, -1]) })
  })

  test('what was extracted from a bf16 fine-tune gives it back bit for bit', async () => {
    await run('vector', 'extract', '--base', join(TEXT, 'base'), '--model', join(TEXT, 'math'), '--out', 'math')
    await run('merge', 'base + math', 'again', '--model', `base=${TEXT}/base`, '--model', 'math=math')
    expect(await readModel(join(folder, 'again'))).toEqual(await readModel(join(TEXT, 'math')))
  })

  test('a task vector is scaled, subtracted and given to methods like any difference', async () => {
    const ways = {
      file: ['base + ties(math, code, density=0.4) - 0.2*math', 'math=math'],
      models: ['base + ties(m - base, code, density=0.4) - 0.2*(m - base)', `m=${TEXT}/math`],
    } as const
    await run('vector', 'extract', '--base', join(TEXT, 'base'), '--model', join(TEXT, 'code'), '--out', 'code')
    for (const [out, [text, model]] of Object.entries(ways)) {
      expect(await run('merge', text, out, '--model', `base=${TEXT}/base`, '--model', 'code=code', '--model', model)).toMatchObject({ code: 0 })
    }
    expect(await readModel(join(folder, 'file'))).toEqual(await readModel(join(folder, 'models')))
  })

  test('integers of the model that it is added to stay', async () => {
    expect(await run('merge', 'base + 2*tau', 'moved', '--model', 'base=base', '--model', 'tau=tau')).toMatchObject({ code: 0 })
    expect(await readModel(join(folder, 'moved'))).toMatchObject({ w: f32([2, 2, 1]), steps: { values: [7, 0, 0, 0, 0, 0, 0, 0] } })
  })

  test('inspect tells that it is one, and of which base', async () => {
    expect((await run('inspect', 'tau')).stdout).toContain('task vector   of a fine-tune of base')
    expect(JSON.parse((await run('inspect', 'tau', '--json')).stdout)).toMatchObject({ taskVectorOf: 'base', parameters: 4 })
  })
})

describe('what cannot be is said before a byte is written', () => {
  test.each([
    [['vector', 'extract', '--base', 'base', '-o', 'x'], '--model is missing', 'write `merganser vector extract --base PATH --model PATH -o FOLDER`'],
    [['vector', 'add'], 'unknown action "add"', 'write `merganser vector extract'],
    [['vector', 'extract', '--base', 'base', '--model', 'taller', '-o', 'x'], 'w: shapes [4] in model and [3] in base differ', ''],
    [['merge', 'tau', 'x', '--model', 'tau=tau'], 'this is a task vector, not a model', ''],
    [['merge', 'a + tau', 'x', '--model', 'a=other', '--model', 'tau=tau'], '"w" is not in other', 'apply it to a model of the architecture that it was taken from'],
    [['merge', 'a + tau', 'x', '--model', 'a=taller', '--model', 'tau=tau'], '"w" is [3], and in taller [4]', 'apply it to a model of the architecture that it was taken from'],
    [['merge', 'a + (tau - a)', 'x', '--model', 'a=base', '--model', 'tau=tau'], 'this is a task vector, not a model', 'add it to a model'],
  ])('%s', async (args, what, fix) => {
    const { code, stderr } = await run(...args)
    expect(stderr).toContain(what)
    expect(stderr).toContain(fix)
    expect(code).toBeGreaterThan(0)
    expect(readdirSync(folder)).not.toContain('x')
  })
})
