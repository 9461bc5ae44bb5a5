import { describe, expect, test } from 'vitest'
import { faultAt, locator, nearest } from './locate.ts'

describe('nearest', () => {
  const names = ['weight', 'density', 'dare_ties', 'dare_linear', 'ties', 'task_arithmetic', 'model', 't']

  test.each([
    ['wieght', 'weight'],
    ['densty', 'density'],
    ['dare-ties', 'dare_ties'],
    ['Dare Linear', 'dare_linear'],
    ['tie', 'ties'],
    ['modle', 'model'],
    ['task', 'task_arithmetic'],
    ['T', 't'],
  ])('%s is near %s', (name, wanted) => expect(nearest(name, names)).toBe(wanted))

  test.each(['zebra', 'x', '', 'dare', 'constructor'])('%s is near none', name => expect(nearest(name, names)).toBe(null))
})

describe('locator', () => {
  test('lines and columns count from 1, the end is one past', () => {
    const at = locator('ab\ncde\r\n\nf')
    expect(at(0, 2)).toEqual({ line: 1, column: 1, end: 3 })
    expect(at(4, 5)).toEqual({ line: 2, column: 2, end: 3 })
    expect(at(9, 10)).toEqual({ line: 4, column: 1, end: 2 })
  })

  test('a span over lines ends with its first, without the line break', () => {
    const at = locator('ab\ncde\r\n\nf')
    expect(at(1, 9)).toEqual({ line: 1, column: 2, end: 3 })
    expect(at(3, 9)).toEqual({ line: 2, column: 1, end: 4 })
  })

  test('an empty span is one column wide', () => {
    const at = locator('ab\n')
    expect(at(2, 2)).toEqual({ line: 1, column: 3, end: 4 })
    expect(at(3, 3)).toEqual({ line: 2, column: 1, end: 2 })
  })
})

describe('faultAt', () => {
  test('names the place, shows the line and says what to do', () => {
    expect(faultAt({ name: 'a.yml', text: 'x: 1\ny: 2\r\n' }, { line: 2, column: 4, end: 5 }, 'wrong', 'write 3').message).toBe(
      ['wrong', '  at a.yml:2:4', '  2 | y: 2', '    |    ^', '  fix: write 3'].join('\n'),
    )
  })

  test('control characters do not reach the terminal', () => {
    expect(faultAt({ name: 'a.yml', text: 'x\u001b[31m' }, { line: 1, column: 1, end: 2 }, 'unknown key "\u001b[31m"').message).toBe(
      ['unknown key " [31m"', '  at a.yml:1:1', '  1 | x [31m', '    | ^'].join('\n'),
    )
  })
})
