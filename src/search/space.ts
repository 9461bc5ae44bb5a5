/** One number or choice that a search sets: it has `count` values, by index. Plain data. */
export type Coordinate =
  | {
      readonly kind: 'number'
      /** `lambda`, or `lambda[2]` for the second number of a variable with groups. */
      readonly name: string
      readonly variable: string
      readonly low: number
      readonly step: number
      readonly count: number
      /** The recipe gives no step: the values are close together. */
      readonly isContinuous: boolean
    }
  | { readonly kind: 'choice'; readonly name: string; readonly variable: string; readonly values: readonly Choice[]; readonly count: number }

export type Choice = string | number | boolean

/** What a search may set. */
export type Space = readonly Coordinate[]

/** The index of a value for each coordinate. */
export type Point = readonly number[]

/** What is written for each variable: several numbers for one with groups. */
export type Values = Readonly<Record<string, Choice | readonly number[]>>

const DIGITS = 12 // of a number: more than anyone writes, and fewer than 0.1 + 0.2 needs to show its rounding

/** The value of `coordinate` at an index. */
export function valueAt(coordinate: Coordinate, index: number): Choice {
  return coordinate.kind === 'choice' ? coordinate.values[index]! : Number((coordinate.low + index * coordinate.step).toPrecision(DIGITS))
}

export function valuesAt(space: Space, point: Point): Values {
  const values = new Map<string, Choice | number[]>()
  for (const [i, coordinate] of space.entries()) {
    const value = valueAt(coordinate, point[i]!)
    if (coordinate.name === coordinate.variable) values.set(coordinate.variable, value)
    else values.set(coordinate.variable, [...((values.get(coordinate.variable) as number[] | undefined) ?? []), value as number]) // only numbers have groups
  }
  return Object.fromEntries(values)
}

/** `lambda = 0.35, method = ties`. */
export const describePoint = (space: Space, point: Point): string => space.map((c, i) => `${c.name} = ${valueAt(c, point[i]!)}`).join(', ')

export const keyOf = (point: Point): string => point.join(' ')

/** How many points there are. */
export const sizeOf = (space: Space): number => space.reduce((size, { count }) => size * count, 1)

/** All points, the last coordinate changing fastest. */
export function allPoints(space: Space): readonly Point[] {
  return space.reduce<readonly Point[]>((points, { count }) => points.flatMap(point => Array.from({ length: count }, (_, i) => [...point, i])), [[]])
}

/** Numbers in the middle of their ranges, choices at the first. */
export const middleOf = (space: Space): Point => space.map(({ kind, count }) => (kind === 'choice' ? 0 : Math.floor((count - 1) / 2)))

/** How far the numbers of a point are from 0, as shares of the farthest that their ranges allow: 0 to 1. 0 where there are no numbers. */
export function strengthOf(space: Space, point: Point): number {
  const shares = space.flatMap((coordinate, i) => {
    if (coordinate.kind === 'choice') return []
    const farthest = Math.max(Math.abs(valueAt(coordinate, 0) as number), Math.abs(valueAt(coordinate, coordinate.count - 1) as number)) // a number's values are numbers
    return [farthest === 0 ? 0 : Math.abs(valueAt(coordinate, point[i]!) as number) / farthest]
  })
  return shares.length === 0 ? 0 : shares.reduce((a, b) => a + b, 0) / shares.length
}
