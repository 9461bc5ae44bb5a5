import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { merganser, temporaryFolder } from './front.ts'
import { GOLDEN } from './golden.ts'

// Recipes on which mergekit fails, misleads or keeps silent; `what_mergekit_does.txt` ends in what a better tool would do.
// Here: how it ends, and the words that decide. (The recipes which need other methods wait for those.)

const folder = temporaryFolder()
const REFUSED: Readonly<Record<string, string>> = {
  'all-zero-weights': 'the weights of linear add up to 0',
  'architecture-mismatch': 'cannot be merged: architecture LlamaForCausalLM against Qwen2ForCausalLM',
  'base-not-in-slices': './models/base is base_model, but not a source of this slice',
  'base-unlisted-linear': 'base_model takes part in linear and needs a weight',
  'chat-template-short': 'unknown chat template "chatmll"',
  'conditional-not-in-list': 'none of its filters matches this tensor',
  'density-above-one': 'did you mean 0.5?',
  'density-negative-dare': 'density is -0.3, and must be above 0 and at most 1',
  'density-zero': 'density is 0, and must be above 0 and at most 1',
  'duplicate-model': './models/ft1 is listed twice, on lines 5 and 6',
  'empty-gradient': 'weight is an empty list',
  'empty-models': 'models lists no model',
  'filter-no-match-no-default': 'none of its filters matches this tensor',
  'hidden-size-mismatch': 'cannot be merged: hidden_size 32 against 16',
  'hidden-size-mismatch-ties': 'cannot be merged: hidden_size 32 against 16',
  'layer-count-mismatch': 'number of layers 3 against 2',
  'missing-base-slerp': 'slerp needs base_model',
  'missing-base-ties': 'ties needs base_model',
  'missing-path': 'no file or folder "./models/nope"',
  'mlp-size-mismatch-skipped': 'shapes [32,24] in ./models/short and [32,40] in ./models/short-widemlp differ',
  'model-stock-one-model': 'model_stock needs at least 2 models, not 1 (./models/ft1)',
  'models-and-slices': 'models and slices are both given',
  'nan-input': './models/short-nan contains NaN',
  'nuslerp-base-in-models': './models/ft1 is the base, and not one of the models',
  'random-seed-in-parameters': 'random_seed is not a parameter of dare_ties',
  'scale-passthrough-two-models': 'passthrough takes 1 model, not 2',
  'slerp-missing-t': 'slerp needs t',
  'slerp-three-models': 'slerp takes 2 models, not 3',
  'slice-length-mismatch': 'slice 1 merges layers one by one, and takes 3 of ./models/ft1, but 2 of ./models/ft2',
  'slice-negative-length': 'did you mean [1, 3]?',
  'slice-out-of-range': './models/ft1 has 3 layers, and [0, 5] goes beyond',
  'tokenizer-both-keys': 'tokenizer and tokenizer_source are both given',
  'tokenizer-missing-file': './models/tok-notok has no tokenizer; its embedding has 53 rows and that of ./models/tok-a 48, so they do not share one',
  'truncated-input': 'the file ends at byte 41418, but tensor "model.layers.1.mlp.down_proj.weight" needs bytes up to 43440',
  'typo-parameter-density': 'did you mean "density"?',
  'typo-parameter-weight': 'did you mean "weight"?',
  'unknown-block-paramters': 'did you mean "parameters"?',
  'unknown-method': 'did you mean "dare_ties"?',
  'unknown-top-level-key': 'unknown key "normalise"',
  'vocab-bigger-base': 'the vocabularies differ',
  'yaml-indent': 'entry 2 of models has no model',
  'yaml-weight-text': 'weight must be a number, not "half"',
  'zero-weight-sum': 'the weights of linear add up to 0',
}
/** These merge; where something is odd, a note says so. */
const MERGED: Readonly<Record<string, string>> = {
  'breadcrumbs-gamma-zero': '',
  'dtype-alias': '',
  'filter-order': 'note: the entry for "mlp" has no effect: an entry before it matches every tensor',
  'filter-regex': 'matches no tensor (filters are plain parts of tensor names, not patterns)',
  'parameter-of-other-method': 'density has no effect in task_arithmetic',
  'path-with-at': '',
  'path-with-plus': '',
  'sce-tiny-topk': '',
  'slerp-t-range': 'note: t is 5, outside the usual range from 0 to 1',
  'ties-small-density-norm': '',
  'tokenizer-kind-zero': '',
  'vocab-mismatch-config': "config.json's vocab_size goes from 53 to 48",
}

describe('refused, before anything is written', () => {
  for (const [name, words] of Object.entries(REFUSED)) {
    test(name, () => {
      const { stderr, status } = merganser(GOLDEN, 'merge', `errors/${name}/recipe.yml`, join(folder, name))
      expect(stderr).toContain(words)
      expect(status).toBe(1)
      expect(existsSync(join(folder, name))).toBe(false)
      expect(existsSync(join(folder, `${name}.partial`))).toBe(false)
    })
  }
})

describe('merged', () => {
  for (const [name, words] of Object.entries(MERGED)) {
    test(name, () => {
      const { stderr, status } = merganser(GOLDEN, 'merge', `errors/${name}/recipe.yml`, join(folder, name))
      expect(status).toBe(0)
      expect(stderr).toContain(words)
      if (words === '') expect(stderr.replaceAll(/note: the models have.*\n/g, '')).toBe('')
    })
  }
})

test('the vocabulary that was cropped is the one that config.json tells', () => {
  expect(JSON.parse(readFileSync(join(folder, 'vocab-mismatch-config/config.json'), 'utf8'))).toMatchObject({ vocab_size: 48 })
})
