import { join } from 'node:path'
import { expect, test } from 'vitest'
import { MergeError } from '../src/errors.ts'
import { openModels } from '../src/plan/open_models.ts'
import { parse } from '../src/recipe/parse.ts'
import { f32, type Written, writeModel } from './command.ts'
import { temporaryFolder } from './front.ts'

const folder = temporaryFolder()
const tensors = (...names: readonly string[]): Record<string, Written> => Object.fromEntries(names.map(name => [name, f32([1])]))
writeModel(join(folder, 'a'), tensors('model.layers.0.w', 'model.layers.1.w', 'model.norm.w', 'vision.norm.w'))
writeModel(join(folder, 'two'), tensors('text.layers.0.w', 'text.layers.1.w', 'vision.layers.0.w', 'vision.layers.1.w'))

/** What is wrong, the part of the recipe that the message points to, and what to do. */
async function fault(rename: string, path = 'a'): Promise<string> {
  const text = `models: { b: a, x: { path: ${path}, rename: ${rename} } }\nmerge: b + (x - b)`
  try {
    await openModels(parse(text), { from: [folder] })
  } catch (error) {
    if (!(error instanceof MergeError)) throw error
    const { excerpt, fix } = error.details
    return `${error.what}\n  at ${excerpt?.line.slice(excerpt.start - 1, excerpt.end - 1)}\n  fix: ${fix}`
  }
  return 'no fault'
}

test('what the model does not bear out is an error at the rename, when the model is opened', async () => {
  expect(await fault("{ strip: 'language_model.' }")).toBe(`no tensor of a begins with "language_model."\n  at rename\n  fix: its names begin with model., vision.`)
  expect(await fault("{ regex: [{ from: '^transformer', to: x }] }")).toBe(
    `the pattern "^transformer" matches no tensor of a\n  at rename\n  fix: at this step they are called, for example, model.layers.0.w, model.layers.1.w`,
  )
  expect(await fault("{ regex: [{ from: '^(model|vision).norm', to: norm }] }")).toBe(
    `"model.norm.w" and "vision.norm.w" of a would both be called "norm.w"\n  at rename\n  fix: let the patterns tell the two apart; \`strip\` renames only the tensors that begin with it`,
  )
  expect(await fault("{ strip: 'model.norm.w' }")).toBe(`model.norm.w of a would have no name\n  at rename\n  fix: strip or replace less`)
  expect(await fault('{ layers: { skip: [2] } }')).toBe(`a has no layer 2\n  at rename\n  fix: its layers are 0 to 1`)
  expect(await fault('{ layers: { map: { 0: 0, 4: 1 } } }')).toBe(`a has no layer 4\n  at rename\n  fix: its layers are 0 to 1`)
  expect(await fault('{ layers: { gaps: [1, 4] } }')).toBe(
    `a gap at 4 lies beyond the layers of a\n  at rename\n  fix: with the gaps its 2 layers take indices 0 to 3; leave this one out`,
  )
  expect(await fault('{ layers: { gaps: [1] } }', 'two')).toBe(
    `the layers to rename are ambiguous: two has text.layers and vision.layers\n  at rename\n  fix: say which, e.g. \`layers: {of: text.layers, …}\``,
  )
  expect(await fault('{ layers: { of: audio.layers, gaps: [1] } }', 'two')).toBe(`two has no layers called audio.layers\n  at rename\n  fix: it has text.layers, vision.layers`)
})

test('what no model could bear out is an error before any is opened', async () => {
  expect(await fault('{}')).toBe(`rename changes nothing\n  at rename\n  fix: give it one of strip, regex, layers, add; or remove it`)
  expect(await fault('{ prefix: model. }')).toBe(`unknown key "prefix"\n  at prefix\n  fix: keys here: strip, regex, layers, add`)
  expect(await fault("{ regex: [{ from: '(', to: x }] }")).toBe(
    `"(" is no regular expression: unterminated group\n  at '('\n  fix: a character that means itself is written with a \`\\\` before it: \`\\.\`, \`\\(\``,
  )
  expect(await fault("{ regex: [{ from: '(a+)+$', to: x }] }")).toBe(
    `"(a+)+$" repeats a group that itself repeats or has alternatives\n  at '(a+)+$'\n  fix: such a pattern can take forever: write several simpler ones`,
  )
  expect(await fault("{ regex: [{ from: '(a?a?)*$', to: x }] }")).toMatch(/^"\(a\?a\?\)\*\$" repeats a group/)
  expect(await fault("{ regex: [{ from: '.*a.*b.*c.*d', to: x }] }")).toMatch(/^"\.\*a\.\*b\.\*c\.\*d" has 4 times \* \+ or \{n,\}\n/)
  expect(await fault("{ regex: [{ from: '.*a.*b.*', to: x }] }")).toMatch(/^"\.\*a\.\*b\.\*" has 3 times/)
  expect(await fault("{ regex: [{ from: '^(.*)norm(.*)w(.*)$', to: '$1$2$3' }] }")).toBe('no fault')
  expect(await fault("{ regex: [{ from: '(a)\\1', to: x }] }")).toMatch(/^"\(a\)\\1" refers back to a group\n/)
  expect(await fault("{ regex: [{ from: '^model', to: 'x$1' }] }")).toBe(
    `$1 stands for group 1, and the pattern has no group\n  at 'x$1'\n  fix: groups stand in ( ) and are counted from 1; a $ itself is written $$`,
  )
  expect(await fault('{ layers: { skip: [1, 1] } }')).toBe(`skip names layer 1 twice\n  at 1\n  fix: remove one of the two`)
  expect(await fault('{ layers: { map: { 0: 1, 1: 1 } } }')).toBe(`layers 0 and 1 both become layer 1\n  at 1\n  fix: give each an index of its own`)
  expect(await fault('{ layers: { skip: [1], map: { 0: 1 } } }')).toBe(`map and skip are both given\n  at skip\n  fix: keep one of the two: \`map\` says all`)
  expect(await fault('{ layers: { skip: [-1] } }')).toBe(`a layer is a whole number from 0\n  at -1\n  fix: write for example \`skip: [3, 8]\``)
  expect(await fault('{ layers: { of: model.layers } }')).toMatch(/^layers says nothing of the layers\n/)
})

test('an expression takes renames beside its models, as text or values', async () => {
  const models = { b: 'a', x: 'a' }
  expect(parse('b + (x - b)', { models, rename: { x: { add: 'm.' } } }).models['x']?.rename).toEqual(
    parse('b + (x - b)', { models, rename: { x: '{ add: m. }' } }).models['x']?.rename,
  )
  expect(() => parse('b + (x - b)', { models, rename: { y: { add: 'm.' } } })).toThrow('a rename of "y", which is no model')
  expect(() => parse('b + (x - b)', { models, rename: { x: '{ ad: m. }' } })).toThrow('unknown key "ad"\n  at rename of x:1:3')
  await expect(openModels(parse('b + (x - b)', { models, rename: { x: { strip: 'q.' } } }), { from: [folder] })).rejects.toThrow('no tensor of a begins with "q."')
})
