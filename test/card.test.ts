import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { f32, merganser, writeModel } from './command.ts'

// The model card of a merge, README.md.

const folder = mkdtempSync(join(tmpdir(), 'merganser-card-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
for (const [i, name] of ['base', 'code', 'ma`th'].entries()) writeModel(join(folder, name), { w: f32([i, 2, 3]) }, { 'config.json': '{"model_type": "toy"}' })

const run = (...args: readonly string[]) => merganser(args, folder)
const cardIn = (out: string): string => readFileSync(join(folder, out, 'README.md'), 'utf8')
const metadataIn = (card: string): unknown => parseYaml(card.split('---\n')[1]!)

describe('a merge', () => {
  test('of an expression tells its models, its methods with their papers, and a recipe that gives the same bytes', async () => {
    const expression = 'base + ties(code - base, density=0.5)'
    expect(await run('merge', expression, 'out', '--model', 'base=base', '--model', 'code=code')).toMatchObject({ code: 0 })
    const card = cardIn('out')
    expect(metadataIn(card)).toEqual({ base_model: ['base', 'code'], library_name: 'transformers', tags: ['merge', 'merganser'] })
    expect(card).toContain('`base + ties(code - base, density=0.5)`')
    expect(card).toContain('- **ties**: Trim task vectors, elect a sign per coordinate, average what agrees. [Paper](https://arxiv.org/abs/2306.01708)\n')
    writeFileSync(join(folder, 'again.yml'), /```yaml\n([\s\S]*?)```/.exec(card)![1]!)
    expect(await run('merge', 'again.yml', 'again')).toMatchObject({ code: 0 })
    const bytes = (out: string): Buffer => readFileSync(join(folder, out, 'model.safetensors')).subarray(-12)
    expect(bytes('again')).toEqual(bytes('out'))
  })

  test('of mergekit’s form keeps the recipe as it was written, whatever marks are in it', async () => {
    const text = '# ``` and more\nmerge_method: linear\nmodels:\n  - {model: base, parameters: {weight: 1}}\n  - {model: ma`th, parameters: {weight: 1}}\n'
    writeFileSync(join(folder, 'kit.yml'), text)
    expect(await run('merge', 'kit.yml', 'kit')).toMatchObject({ code: 0 })
    expect(cardIn('kit')).toContain(`\n\`\`\`\`yaml\n${text}\`\`\`\`\n`)
    expect(metadataIn(cardIn('kit'))).toMatchObject({ base_model: ['base', 'ma`th'] })
  })

  test('has none where nobody wants one', async () => {
    writeFileSync(join(folder, 'bare.yml'), 'models: {base: base}\nmerge: base\noutput: {card: false}\n')
    await run('merge', 'bare.yml', 'bare')
    await run('merge', 'again.yml', 'flag', '--no-card')
    expect(readdirSync(join(folder, 'bare'))).toEqual(['config.json', 'model.safetensors'])
    expect(readdirSync(join(folder, 'flag'))).toEqual(['config.json', 'model.safetensors'])
  })

  test('with a card that is neither wanted nor unwanted is refused', async () => {
    writeFileSync(join(folder, 'odd.yml'), 'models: {base: base}\nmerge: base\noutput: {card: maybe}\n')
    const { code, stderr } = await run('merge', 'odd.yml', 'odd')
    expect(stderr).toBe(
      'error: card must be true or false\n  at odd.yml:3:16\n  3 | output: {card: maybe}\n    |                ^^^^^\n  fix: write `card: false` for an output without README.md\n',
    )
    expect(code).toBe(1)
  })
})
