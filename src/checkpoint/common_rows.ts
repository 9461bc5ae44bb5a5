import type { RowMap } from './rows.ts'

/** Whether a row stays as it is in `model` where only rows of common tokens are merged: some model lacks its token, or it has none. */
export const isKept = ({ own, hasToken }: RowMap, model: number, r: number): boolean => own[model]![r]! >= 0 && (hasToken[r] === 0 || own.some(rows => rows[r]! < 0))

/** Whether any row does. */
export const keepsRows = (map: RowMap, model: number): boolean => map.hasToken.some((_, r) => isKept(map, model, r))
