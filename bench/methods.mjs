// What is measured: each method as a recipe of mergekit's form, which mergekit runs too.

const DENSITY = 0.5
const weight = i => 0.3 + 0.1 * (i % 5) // unequal, so that no two models could be taken for one
const sparse = i => ({ weight: weight(i), density: DENSITY })

/**
 * By name: `target`, times the floor; `reads`, how many models at most; `forModel(i)`, the parameters of model i, null for a base that has none;
 * `parameters` of the recipe.
 */
export const METHODS = {
  passthrough: { target: 1.5, reads: 1, forModel: () => ({}) },
  linear: { target: 1.5, forModel: i => ({ weight: weight(i) }) },
  task_arithmetic: { target: 1.5, isBased: true, forModel: i => ({ weight: weight(i) }) },
  slerp: { target: 2, isBased: true, reads: 2, forModel: () => ({}), parameters: { t: 0.4 } },
  ties: { target: 3, isBased: true, forModel: sparse },
  dare_linear: { target: 2, isBased: true, forModel: sparse },
  dare_ties: { target: 2, isBased: true, forModel: sparse },
  breadcrumbs: { target: 3, isBased: true, forModel: sparse },
  della: { target: 3, isBased: true, forModel: sparse },
  sce: { target: 3, isBased: true, forModel: () => ({}), parameters: { select_topk: 0.5 } },
  nuslerp: { target: 3, reads: 2, forModel: i => ({ weight: weight(i) }) },
  model_stock: { target: 3, isBased: true, forModel: () => ({}) },
  karcher: { target: 3, forModel: () => ({}) },
  arcee_fusion: { target: 3, isBased: true, reads: 2, forModel: () => ({}) },
}

/** The recipe (JSON, which is YAML) and the folders of the models it reads. */
export function recipeOf(name, models) {
  const { isBased = false, reads = models.length, forModel, parameters } = METHODS[name]
  const folders = models.slice(0, reads)
  const entries = folders.map((model, i) => (isBased && i === 0 ? { model } : { model, parameters: forModel(i) }))
  const recipe = { merge_method: name, ...(isBased ? { base_model: folders[0] } : {}), models: entries, ...(parameters ? { parameters } : {}), dtype: 'bfloat16' }
  return { folders, text: `${JSON.stringify(recipe, null, 2)}\n` }
}
