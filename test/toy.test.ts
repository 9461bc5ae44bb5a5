import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import toy from '../src/presets/toy.ts'
import { merganser, ROOT } from './command.ts'

// The three toy networks, whose outputs are worked out by hand.

const folder = mkdtempSync(join(tmpdir(), 'merganser-toy-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** [input, base, a, b, wanted, merged], as weights and inputs give them on paper. */
const BY_HAND = {
  separate: [
    ['(1, 0, 0)', 0, 1, 0, 1, 1],
    ['(0, 1, 0)', 0, 0, 1, 1, 1],
    ['(1, 1, 1)', 0, 0, 0, 0, 0],
    ['(0, 0, -1)', 3, 3, 3, 3, 3],
  ],
  'shared-neuron': [
    ['(1, 0, 0)', 0, 1, 0, 1, 1],
    ['(0, 1, 0)', 0, 0, 1, 1, 1],
    ['(1, 1, 1)', 0, 0, 0, 0, 0.5],
    ['(0, 0, -1)', 1.5, 1.5, 1.5, 1.5, 1.5],
  ],
  'shared-parameter': [
    ['(1, 1, 0)', 2, 3, 0, 3, 1],
    ['(0, 1, 1)', 2, 3, 0, 0, 1],
    ['(1, 0, 0)', 1, 1, 1, 1, 1],
    ['(0, 0, 1)', 1, 1, 1, 1, 1],
  ],
}

describe('preset toy', () => {
  test('prints the tables and ends with 0', async () => {
    const { code, stdout } = await merganser(['preset', 'toy', '--json'], folder)
    expect(code).toBe(0)
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line))
    const outputs = lines.filter(line => line.columns?.[0] === 'input').map(({ rows }) => rows)
    expect(outputs).toEqual(Object.values(BY_HAND).map(rows => rows.map(row => [...row.map(String), row[4] === row[5] ? '✓' : '✗'])))
    expect(lines.at(-1)).toMatchObject({ isAsExpected: true })
  })

  test('an expert that has other weights is noticed', async () => {
    cpSync(join(ROOT, 'zoo/toy'), join(folder, 'toy'), { recursive: true })
    const file = join(folder, 'toy/separate/a/model.safetensors')
    const bytes = readFileSync(file)
    bytes.writeFloatLE(0.5, bytes.length - 24) // the first weight of the first neuron
    writeFileSync(file, bytes)
    const steps = toy.run({ zoo: folder, flags: {}, cache: null, tell() {} })
    let step = await steps.next()
    while (!step.done) step = await steps.next()
    expect(step.value).toEqual({ isAsExpected: false, conclusion: 'outputs differ from zoo/toy/expected.json: separate at (1, 0, 0)' })
  })

  test('an unknown preset has a nearest one', async () => {
    const { code, stderr } = await merganser(['preset', 'tow'], folder)
    expect(code).toBe(2)
    expect(stderr).toBe('error: unknown preset "tow"\n  fix: did you mean "toy"? All presets: `merganser preset`\n')
  })
})
