import type { PresetResult } from './preset.ts'

/** Numbers beside those of a card of the zoo. Says in the end whether they agree. */
export interface Checks {
  /** `1.856 (1.855)`: ours and the card's, with `!` where they are further apart than `tolerance`; ours alone where the card has none. */
  cell(what: string, ours: number, card: number | null | undefined, tolerance: number, show: (x: number) => string): string
  /** Compares without showing. */
  isNear(what: string, ours: number, card: number, tolerance: number): boolean
  /** Something that must be so. */
  claim(isSo: boolean, otherwise: string): void
  result(file: string): PresetResult
}

const ROUNDING = 1e-9 // of differences between decimals

export function createChecks(): Checks {
  const surprises: string[] = []
  let compared = 0
  const isNear = (what: string, ours: number, card: number, tolerance: number, show: (x: number) => string = String): boolean => {
    compared++
    if (Math.abs(ours - card) <= tolerance + ROUNDING) return true
    surprises.push(`${what}: ${show(ours)}, not ${show(card)}`)
    return false
  }
  return {
    cell(what, ours, card, tolerance, show) {
      if (card === null || card === undefined) return show(ours)
      return `${show(ours)} (${show(card)})${isNear(what, ours, card, tolerance, show) ? '' : ' !'}`
    },
    isNear,
    claim(isSo, otherwise) {
      compared++
      if (!isSo) surprises.push(otherwise)
    },
    result(file) {
      if (surprises.length > 0) return { isAsExpected: false, conclusion: `not as in ${file}: ${surprises.join('; ')}` }
      return {
        isAsExpected: true,
        conclusion: compared === 0 ? `${file} has none of these numbers` : `${compared === 1 ? '1 number is' : `${compared} numbers are`} as in ${file}, within its tolerance`,
      }
    },
  }
}

/** A share as per cent. */
export const percent = (share: number): string => (100 * share).toFixed(1)
export const bits = (value: number): string => value.toFixed(3)
export const signed = (share: number): string => `${share < 0 ? '' : '+'}${percent(share)} %`
export const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
