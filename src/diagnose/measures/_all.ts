// Written by `npm run generate`. Do not edit.
import changed_entries from './changed_entries.ts'
import cosine from './cosine.ts'
import directional_damage from './directional_damage.ts'
import equal_entries from './equal_entries.ts'
import lineage from './lineage.ts'
import type { Measure } from './measure.ts'
import nonfinite from './nonfinite.ts'
import norm from './norm.ts'
import own_rows_damage from './own_rows_damage.ts'
import relative_norm from './relative_norm.ts'
import rewritten_rows from './rewritten_rows.ts'
import row_profile from './row_profile.ts'
import shared_entries from './shared_entries.ts'
import shared_rows from './shared_rows.ts'
import shared_top_entries from './shared_top_entries.ts'
import sign_conflict from './sign_conflict.ts'
import unchanged from './unchanged.ts'
import weighted_sign_conflict from './weighted_sign_conflict.ts'

/** Every measure of a diagnosis: the files of this folder. */
export const MEASURES: Readonly<Record<string, Measure>> = {
  changed_entries,
  cosine,
  directional_damage,
  equal_entries,
  lineage,
  nonfinite,
  norm,
  own_rows_damage,
  relative_norm,
  rewritten_rows,
  row_profile,
  shared_entries,
  shared_rows,
  shared_top_entries,
  sign_conflict,
  unchanged,
  weighted_sign_conflict,
}
