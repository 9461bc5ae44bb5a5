import { expect, test } from 'vitest'
import { createChecks, percent } from './_checks.ts'
import { readNumber, readShare } from './_flags.ts'
import { best } from './_lab.ts'

test('a number further from the card than its tolerance is marked, and named in the end', () => {
  const checks = createChecks()
  expect(checks.cell('code', 0.501, 0.5, 0.001, percent)).toBe('50.1 (50.0)')
  expect(checks.cell('math', 0.51, 0.5, 0.001, percent)).toBe('51.0 (50.0) !')
  expect(checks.cell('prose', 0.7, undefined, 0.001, percent)).toBe('70.0')
  checks.claim(true, 'the head is kept')
  checks.claim(false, 'λ = 1 is best')
  expect(checks.result('card.json')).toEqual({ isAsExpected: false, conclusion: 'not as in card.json: math: 51.0, not 50.0; λ = 1 is best' })
})

test('what agrees is counted; a card that has nothing to compare with is no agreement', () => {
  const checks = createChecks()
  expect(checks.result('card.json').conclusion).toBe('card.json has none of these numbers')
  checks.cell('code', 0.5, 0.5, 0, percent)
  expect(checks.result('card.json')).toEqual({ isAsExpected: true, conclusion: '1 number is as in card.json, within its tolerance' })
})

test('of equal scores the first coefficient counts, also where rounding tells them apart', () => {
  expect(best([0.1, 0.2, 0.3], x => ({ 0.1: 0.3, 0.2: 0.1 + 0.2, 0.3: 0.2 })[x] ?? 0)).toBe(0.1)
})

test('shares are read with and without a per cent sign', () => {
  expect([readShare({ budget: '5%' }, 'budget'), readShare({ budget: '.05' }, 'budget'), readShare({}, 'budget')]).toEqual([0.05, 0.05, null])
  for (const budget of ['5', '-1%', '101%', '5 %', '']) expect(() => readShare({ budget }, 'budget')).toThrow(/is not a share/)
  for (const lambda of ['', '5', 'x', '-1']) expect(() => readNumber({ lambda }, 'lambda', [0, 4])).toThrow('is not a number from 0 to 4')
})
