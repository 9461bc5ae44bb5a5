import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from '../recipe/parse.ts'
import { valuesAt } from './space.ts'
import { STRATEGIES } from './strategies/_all.ts'
import { fillTemplate, readTemplate } from './template.ts'

const page = readFileSync(new URL('../../docs/search.md', import.meta.url), 'utf8')

test('docs/search.md names every strategy and no other', () => {
  const table = page.slice(page.indexOf('## Strategies'), page.indexOf('`--evaluations` bounds'))
  expect([...table.matchAll(/^\| `(\w+)` \|/gm)].map(m => m[1]).toSorted()).toEqual(Object.keys(STRATEGIES))
})

test('the recipes of docs/search.md can be searched', () => {
  const recipes = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(m => readTemplate(m[1]!))
  expect(recipes.length).toBeGreaterThanOrEqual(2)
  for (const template of recipes) {
    const { space } = template
    expect(
      parse(
        fillTemplate(
          template,
          valuesAt(
            space,
            space.map(c => c.count - 1),
          ),
        ),
      ).form,
    ).toBeTruthy()
  }
})
