// The interpreter: runs a list of ops over a chunk, strip by strip, so that JavaScript is called once per chunk and not once per kernel,
// and strips can be small enough for the L1 cache.
//
// An op is eight u32 words: opcode, d, a, b, c, and three words of its own. A pointer or, where the op's name says `s`, the bits of an f32.
//   load_*   d strip, a stored bytes (moves on by itself), b bytes an element, word 5: the largest magnitude seen
//   store_*  d stored bytes (moves on by itself), a strip, b bytes an element, word 5: the largest magnitude seen
//   random   d strip, a the element to begin at (moves on by itself), b and c the key
//   sum_*, count_*  d state, a strip, b another strip or the prefix

// AssemblyScript: compiled by `npm run generate`, not by tsc.

import { load_bf16, load_f16, load_f32, load_f64, load_f8_e4m3, load_f8_e5m2, store_bf16, store_f16, store_f32, store_f64, store_f8_e4m3, store_f8_e5m2 } from './convert'
import { count_high, count_low, sum_abs, sum_add, sum_dot } from './fold'
import * as map from './map'
import { random } from './random'

const D: usize = 4
const A: usize = 8
const B: usize = 12
const C: usize = 16
const W5: usize = 20
const OP_BYTES: usize = 32

export const op_add_vv: u32 = 0
export const op_sub_vv: u32 = 1
export const op_mul_vv: u32 = 2
export const op_div_vv: u32 = 3
export const op_max_vv: u32 = 4
export const op_min_vv: u32 = 5
export const op_ge_vv: u32 = 6
export const op_gt_vv: u32 = 7
export const op_eq_vv: u32 = 8
export const op_add_vs: u32 = 9
export const op_sub_vs: u32 = 10
export const op_mul_vs: u32 = 11
export const op_div_vs: u32 = 12
export const op_max_vs: u32 = 13
export const op_min_vs: u32 = 14
export const op_ge_vs: u32 = 15
export const op_gt_vs: u32 = 16
export const op_eq_vs: u32 = 17
export const op_sub_sv: u32 = 18
export const op_div_sv: u32 = 19
export const op_ge_sv: u32 = 20
export const op_gt_sv: u32 = 21
export const op_where_vv: u32 = 22
export const op_where_vs: u32 = 23
export const op_where_sv: u32 = 24
export const op_where_ss: u32 = 25
export const op_addmul_vvs: u32 = 26
export const op_absdiff_vv: u32 = 27
export const op_keeplarge_vs: u32 = 28
export const op_keepbelow_svv: u32 = 29
export const op_signeq_vv: u32 = 30
export const op_abs_v: u32 = 31
export const op_sign_v: u32 = 32
export const op_sqrt_v: u32 = 33
export const op_sin_v: u32 = 34
export const op_acos_v: u32 = 35
export const op_copy: u32 = 36
export const op_fill: u32 = 37
export const op_load_f64: u32 = 38
export const op_load_f32: u32 = 39
export const op_load_f16: u32 = 40
export const op_load_bf16: u32 = 41
export const op_load_f8_e4m3: u32 = 42
export const op_load_f8_e5m2: u32 = 43
export const op_store_f64: u32 = 44
export const op_store_f32: u32 = 45
export const op_store_f16: u32 = 46
export const op_store_bf16: u32 = 47
export const op_store_f8_e4m3: u32 = 48
export const op_store_f8_e5m2: u32 = 49
export const op_random: u32 = 50
export const op_sum_add: u32 = 51
export const op_sum_abs: u32 = 52
export const op_sum_dot: u32 = 53
export const op_count_high: u32 = 54
export const op_count_low: u32 = 55

/** Runs `count` ops at `program` over `n` elements, `strip` at a time; both multiples of 16 but for the last strip. */
export function run(program: usize, count: i32, n: i32, strip: i32): void {
  const end = program + <usize>count * OP_BYTES
  for (let s = 0; s < n; s += strip) {
    const m = min(strip, n - s)
    for (let op = program; op < end; op += OP_BYTES) step(op, m)
  }
}

function step(op: usize, n: i32): void {
  const d: usize = load<u32>(op, D)
  const a: usize = load<u32>(op, A)
  const b: usize = load<u32>(op, B)
  switch (load<u32>(op)) {
    case op_add_vv: map.add_vv(d, a, b, n); break
    case op_sub_vv: map.sub_vv(d, a, b, n); break
    case op_mul_vv: map.mul_vv(d, a, b, n); break
    case op_div_vv: map.div_vv(d, a, b, n); break
    case op_max_vv: map.max_vv(d, a, b, n); break
    case op_min_vv: map.min_vv(d, a, b, n); break
    case op_ge_vv: map.ge_vv(d, a, b, n); break
    case op_gt_vv: map.gt_vv(d, a, b, n); break
    case op_eq_vv: map.eq_vv(d, a, b, n); break
    case op_add_vs: map.add_vs(d, a, load<f32>(op, B), n); break
    case op_sub_vs: map.sub_vs(d, a, load<f32>(op, B), n); break
    case op_mul_vs: map.mul_vs(d, a, load<f32>(op, B), n); break
    case op_div_vs: map.div_vs(d, a, load<f32>(op, B), n); break
    case op_max_vs: map.max_vs(d, a, load<f32>(op, B), n); break
    case op_min_vs: map.min_vs(d, a, load<f32>(op, B), n); break
    case op_ge_vs: map.ge_vs(d, a, load<f32>(op, B), n); break
    case op_gt_vs: map.gt_vs(d, a, load<f32>(op, B), n); break
    case op_eq_vs: map.eq_vs(d, a, load<f32>(op, B), n); break
    case op_sub_sv: map.sub_sv(d, load<f32>(op, A), b, n); break
    case op_div_sv: map.div_sv(d, load<f32>(op, A), b, n); break
    case op_ge_sv: map.ge_sv(d, load<f32>(op, A), b, n); break
    case op_gt_sv: map.gt_sv(d, load<f32>(op, A), b, n); break
    case op_where_vv: map.where_vv(d, a, b, load<u32>(op, C), n); break
    case op_where_vs: map.where_vs(d, a, b, load<f32>(op, C), n); break
    case op_where_sv: map.where_sv(d, a, load<f32>(op, B), load<u32>(op, C), n); break
    case op_where_ss: map.where_ss(d, a, load<f32>(op, B), load<f32>(op, C), n); break
    case op_addmul_vvs: map.addmul_vvs(d, a, b, load<f32>(op, C), n); break
    case op_absdiff_vv: map.absdiff_vv(d, a, b, n); break
    case op_keeplarge_vs: map.keeplarge_vs(d, a, load<f32>(op, B), n); break
    case op_keepbelow_svv: map.keepbelow_svv(d, load<f32>(op, A), b, load<u32>(op, C), n); break
    case op_signeq_vv: map.signeq_vv(d, a, b, n); break
    case op_abs_v: map.abs_v(d, a, n); break
    case op_sign_v: map.sign_v(d, a, n); break
    case op_sqrt_v: map.sqrt_v(d, a, n); break
    case op_sin_v: map.sin_v(d, a, n); break
    case op_acos_v: map.acos_v(d, a, n); break
    case op_copy: memory.copy(d, a, <usize>n << 2); break
    case op_fill: fill(d, load<f32>(op, A), n); break
    case op_load_f64: loaded(op, n, load_f64(d, a, n)); break
    case op_load_f32: loaded(op, n, load_f32(d, a, n)); break
    case op_load_f16: loaded(op, n, load_f16(d, a, n)); break
    case op_load_bf16: loaded(op, n, load_bf16(d, a, n)); break
    case op_load_f8_e4m3: loaded(op, n, load_f8_e4m3(d, a, n)); break
    case op_load_f8_e5m2: loaded(op, n, load_f8_e5m2(d, a, n)); break
    case op_store_f64: stored(op, n, store_f64(d, a, n)); break
    case op_store_f32: stored(op, n, store_f32(d, a, n)); break
    case op_store_f16: stored(op, n, store_f16(d, a, n)); break
    case op_store_bf16: stored(op, n, store_bf16(d, a, n)); break
    case op_store_f8_e4m3: stored(op, n, store_f8_e4m3(d, a, n)); break
    case op_store_f8_e5m2: stored(op, n, store_f8_e5m2(d, a, n)); break
    case op_random: drawn(op, d, n); break
    case op_sum_add: sum_add(d, a, n); break
    case op_sum_abs: sum_abs(d, a, n); break
    case op_sum_dot: sum_dot(d, a, b, n); break
    case op_count_high: count_high(d, a, n); break
    case op_count_low: count_low(d, b, a, n); break
    default: unreachable()
  }
}

@inline function loaded(op: usize, n: i32, most: u32): void {
  store<u32>(op, load<u32>(op, A) + n * load<u32>(op, B), A)
  store<u32>(op, max(load<u32>(op, W5), most), W5)
}
@inline function stored(op: usize, n: i32, most: u32): void {
  store<u32>(op, load<u32>(op, D) + n * load<u32>(op, B), D)
  store<u32>(op, max(load<u32>(op, W5), most), W5)
}
@inline function drawn(op: usize, d: usize, n: i32): void {
  const first = load<u32>(op, A)
  random(d, n, first, load<u32>(op, B), load<u32>(op, C))
  store<u32>(op, first + n, A)
}

function fill(d: usize, s: f32, n: i32): void {
  const x = f32x4.splat(s)
  for (const end = d + (<usize>n << 2); d < end; d += 16) v128.store(d, x)
}
