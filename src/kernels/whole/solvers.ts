import type { WholeOp } from '../../algebra/ops.ts'
import { commonSpace } from './common_space.ts'
import { isotropic } from './isotropic.ts'
import { lowRank } from './low_rank.ts'
import type { Solver } from './solver.ts'
import { tsv } from './tsv.ts'
import { wudi } from './wudi.ts'

/** What computes each op on whole matrices, and says at plan time how much memory it takes. */
export const SOLVERS: Readonly<Record<WholeOp, Solver>> = { tsv, isotropic, common_space: commonSpace, wudi, low_rank: lowRank }

/** To be raised when a change to solvers, or to what they call, changes bytes: what another version has begun is not resumed. */
export const SOLVERS_VERSION = 1
