import { expect, test } from 'vitest'
import { parse } from './parse.ts'
import { show } from './show.ts'

const models = { a: 'a', b: 'b' }

test.each([
  'layers(a, 0, 8)',
  'stack(layers(a, 0, 8), layers(a + 0.5*(b - a), 4, 12))',
  'a + stack(layers(b - a, 0, 2), layers(b - a, 2, 3))',
  'stack(a)',
  'linear(layers(a, 0, 2), layers(b, 1, 3))',
])('%s is shown as it is written', text => {
  expect(show(parse(text, { models }).merge)).toBe(text)
})

test('models may be called stack and layers', () => {
  expect(show(parse('0.5*stack + 0.5*layers', { models: { stack: 's', layers: 'l' } }).merge)).toBe('0.5*stack + 0.5*layers')
})

test.each([
  ['stack()', 'stack has nothing to stack', 'write for example `stack(layers(base, 0, 8), layers(math, 4, 12))`'],
  ['layers(a)', 'layers takes a model and two numbers', 'write for example `layers(base, 0, 8)`'],
  ['layers(a, 1)', 'layers takes a model and two numbers', 'write for example `layers(base, 0, 8)`'],
  ['layers(a, 1, 2, 3)', 'layers takes a model and two numbers', 'write for example `layers(base, 0, 8)`'],
  ['layers(a, 4, 1)', 'the layers from 4 to 1 are reversed', 'did you mean `layers(a, 1, 4)`?'],
  ['layers(a, 0, 1.5)', 'layers are counted in whole numbers from 0', 'write `layers(base, 0, 8)` for layers 0 to 7'],
  ['layers(a, -1, 2)', 'layers are counted in whole numbers from 0', 'write `layers(base, 0, 8)` for layers 0 to 7'],
  ['stack(a, )', 'nothing follows the last ","', 'remove it'],
  ['stack(,a)', 'nothing stands before ","', 'remove it'],
  ['stack(a', '"(" is never closed', 'add ")"'],
  ['layers(a 0)', 'expected "," or ")" before "0"', 'write `layers(base, 0, 8)`'],
  ['stack(layers(a - b, 0, 2), layers(a, 0, 1))', 'layers of models and of task vectors cannot be stacked', 'make all slices models, or all task vectors'],
  ['stack(layers(a - b, 0, 2))', 'this is a task vector, not a model', 'add it to a model: `b + stack(layers(a - b, 0, 2))`'],
  ['stack(2)', '`2` is neither a model nor a task vector', 'layers are taken from models, or from task vectors'],
  ['layers(2*a, 0, 1)', '`2*a` is neither a model nor a task vector', 'layers are taken from models, or from task vectors'],
  ['layer(a, 0, 1)', 'unknown method "layer"', 'all methods: `merganser methods`'],
])('%s: %s', (text, what, fix) => {
  const message = (() => {
    try {
      parse(text, { models })
      return 'no error'
    } catch (error) {
      return (error as Error).message // whatever it is, the comparison shows it
    }
  })()
  expect([message.split('\n')[0], message.split('\n').at(-1)]).toEqual([what, `  fix: ${fix}`])
})
