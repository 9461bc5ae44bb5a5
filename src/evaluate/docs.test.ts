import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ENGINES } from './engines/_all.ts'
import { METRICS } from './metrics/_all.ts'

const page = readFileSync(new URL('../../docs/evaluation.md', import.meta.url), 'utf8')
const row = (name: string): string => page.split('\n').find(line => line.startsWith(`| \`${name}\` |`)) ?? ''

test.each(Object.entries(ENGINES))('docs/evaluation.md has every option of the engine %s', (name, { options }) => {
  const section = page.split(`**\`${name}\`**`)[1] ?? ''
  for (const option of Object.keys(options)) expect(section, option).toContain(`\`${option}\``)
})

test.each(Object.entries(METRICS))('docs/evaluation.md has every option of the metric %s', (name, { options, data }) => {
  const own = row(name) + (['exact_match', 'word_error_rate', 'word_list_rate'].includes(name) ? row('exact_match') : '')
  for (const option of Object.keys(options)) expect(own, option).toContain(`\`${option}\``)
  for (const kind of data) expect(row(name)).toContain(kind)
})
