import { METHODS } from '../methods/_all.ts'
import type { AnyMethod } from '../methods/method.ts'
import { FUNCTION_NAMES } from './functions.ts'
import { faultAt, nearest } from './locate.ts'
import type { At, SourceText } from './recipe.ts'

/** The value under a name a user wrote, never one inherited from Object (`constructor`, `__proto__`). */
export const own = <T>(record: Readonly<Record<string, T>>, name: string): T | undefined => (Object.hasOwn(record, name) ? record[name] : undefined)

// mergekit v0.1.4: names that recipes in the wild use, so that one of another method is not called a typing error
const MERGEKIT_PARAMETERS = [
  'alpha',
  'density',
  'eps',
  'epsilon',
  'filter_wise',
  'gamma',
  'int8_mask',
  'lambda',
  'max_iter',
  'normalize',
  'normalize_weights',
  'nuslerp_flatten',
  'nuslerp_row_wise',
  'r',
  'rescale',
  'scale',
  'select_topk',
  't',
  'tol',
  'weight',
] as const

/** The method called `name`, or an error at `at` with the nearest name. */
export function methodAt(source: SourceText, at: At, name: string): AnyMethod {
  const method = own(METHODS, name)
  if (method) return method
  const near = nearest(name, [...Object.keys(METHODS), ...FUNCTION_NAMES])
  throw faultAt(source, at, `unknown method "${name}"`, `${near === null ? '' : `did you mean "${near}"? `}${near === null ? 'all' : 'All'} methods: \`merganser methods\``)
}

/** Whether any method, here or in mergekit, has a parameter of this name. */
export function isParameterSomewhere(name: string): boolean {
  return parameterNames().includes(name)
}

/** Every parameter name that means something to some method. */
export function parameterNames(): readonly string[] {
  return [...new Set([...MERGEKIT_PARAMETERS, ...Object.values(METHODS).flatMap(m => [...Object.keys(m.params), ...(m.ignored ?? [])])])]
}
