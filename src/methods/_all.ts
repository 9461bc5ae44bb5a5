// Written by `npm run generate`. Do not edit.
import arcee_fusion from './arcee_fusion.ts'
import breadcrumbs from './breadcrumbs.ts'
import breadcrumbs_ties from './breadcrumbs_ties.ts'
import consensus from './consensus.ts'
import dare_linear from './dare_linear.ts'
import dare_ties from './dare_ties.ts'
import della from './della.ts'
import della_linear from './della_linear.ts'
import geometric_median from './geometric_median.ts'
import iso_c from './iso_c.ts'
import iso_cts from './iso_cts.ts'
import karcher from './karcher.ts'
import linear from './linear.ts'
import lines from './lines.ts'
import localize_stitch from './localize_stitch.ts'
import metagpt from './metagpt.ts'
import type { AnyMethod } from './method.ts'
import model_stock from './model_stock.ts'
import multislerp from './multislerp.ts'
import nearswap from './nearswap.ts'
import nuslerp from './nuslerp.ts'
import passthrough from './passthrough.ts'
import pcb from './pcb.ts'
import ram from './ram.ts'
import ramplus_tl from './ramplus_tl.ts'
import sce from './sce.ts'
import slerp from './slerp.ts'
import star from './star.ts'
import swudi from './swudi.ts'
import task_arithmetic from './task_arithmetic.ts'
import ties from './ties.ts'
import tsv_m from './tsv_m.ts'

/** Every merge method by its recipe name: the files of this folder. */
export const METHODS: Readonly<Record<string, AnyMethod>> = {
  arcee_fusion,
  breadcrumbs,
  breadcrumbs_ties,
  consensus,
  dare_linear,
  dare_ties,
  della,
  della_linear,
  geometric_median,
  iso_c,
  iso_cts,
  karcher,
  linear,
  lines,
  localize_stitch,
  metagpt,
  model_stock,
  multislerp,
  nearswap,
  nuslerp,
  passthrough,
  pcb,
  ram,
  ramplus_tl,
  sce,
  slerp,
  star,
  swudi,
  task_arithmetic,
  ties,
  tsv_m,
}
