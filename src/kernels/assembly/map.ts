// Elementwise ops over strips of f32. Pointers are 16-byte aligned; lengths are rounded up to 16 elements, so strips have that much room
// and the last lanes may hold leftovers that nobody reads.
// A suffix tells the operands: v a strip, s a scalar.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

import { magnitudeMask, one } from './_constants'

const STEP: usize = 64 // bytes: 16 elements, four vectors per turn of a loop

@inline function ones(mask: v128): v128 { return v128.and(mask, one()) }

@inline function abs4(x: v128): v128 { return v128.and(x, magnitudeMask()) }

// An op as a type parameter would need a closure; a constant number folds away at compile time instead.
const ADD = 0, SUB = 1, MUL = 2, DIV = 3, MAX = 4, MIN = 5, GE = 6, GT = 7, EQ = 8

@inline function apply(op: i32, x: v128, y: v128): v128 {
  if (op == ADD) return f32x4.add(x, y)
  if (op == SUB) return f32x4.sub(x, y)
  if (op == MUL) return f32x4.mul(x, y)
  if (op == DIV) return f32x4.div(x, y)
  if (op == MAX) return f32x4.max(x, y)
  if (op == MIN) return f32x4.min(x, y)
  if (op == GE) return ones(f32x4.ge(x, y))
  if (op == GT) return ones(f32x4.gt(x, y))
  return ones(f32x4.eq(x, y))
}

@inline function vv(op: i32, d: usize, a: usize, b: usize, n: i32): void {
  const end = d + (<usize>n << 2)
  while (d < end) {
    v128.store(d, apply(op, v128.load(a), v128.load(b)))
    v128.store(d, apply(op, v128.load(a, 16), v128.load(b, 16)), 16)
    v128.store(d, apply(op, v128.load(a, 32), v128.load(b, 32)), 32)
    v128.store(d, apply(op, v128.load(a, 48), v128.load(b, 48)), 48)
    d += STEP
    a += STEP
    b += STEP
  }
}

@inline function vs(op: i32, d: usize, a: usize, s: f32, n: i32): void {
  const end = d + (<usize>n << 2)
  const y = f32x4.splat(s)
  while (d < end) {
    v128.store(d, apply(op, v128.load(a), y))
    v128.store(d, apply(op, v128.load(a, 16), y), 16)
    v128.store(d, apply(op, v128.load(a, 32), y), 32)
    v128.store(d, apply(op, v128.load(a, 48), y), 48)
    d += STEP
    a += STEP
  }
}

@inline function sv(op: i32, d: usize, s: f32, b: usize, n: i32): void {
  const end = d + (<usize>n << 2)
  const x = f32x4.splat(s)
  while (d < end) {
    v128.store(d, apply(op, x, v128.load(b)))
    v128.store(d, apply(op, x, v128.load(b, 16)), 16)
    v128.store(d, apply(op, x, v128.load(b, 32)), 32)
    v128.store(d, apply(op, x, v128.load(b, 48)), 48)
    d += STEP
    b += STEP
  }
}

export function add_vv(d: usize, a: usize, b: usize, n: i32): void { vv(ADD, d, a, b, n) }
export function add_vs(d: usize, a: usize, s: f32, n: i32): void { vs(ADD, d, a, s, n) }
export function sub_vv(d: usize, a: usize, b: usize, n: i32): void { vv(SUB, d, a, b, n) }
export function sub_vs(d: usize, a: usize, s: f32, n: i32): void { vs(SUB, d, a, s, n) }
export function sub_sv(d: usize, s: f32, b: usize, n: i32): void { sv(SUB, d, s, b, n) }
export function mul_vv(d: usize, a: usize, b: usize, n: i32): void { vv(MUL, d, a, b, n) }
export function mul_vs(d: usize, a: usize, s: f32, n: i32): void { vs(MUL, d, a, s, n) }
export function div_vv(d: usize, a: usize, b: usize, n: i32): void { vv(DIV, d, a, b, n) }
export function div_vs(d: usize, a: usize, s: f32, n: i32): void { vs(DIV, d, a, s, n) }
export function div_sv(d: usize, s: f32, b: usize, n: i32): void { sv(DIV, d, s, b, n) }
export function max_vv(d: usize, a: usize, b: usize, n: i32): void { vv(MAX, d, a, b, n) }
export function max_vs(d: usize, a: usize, s: f32, n: i32): void { vs(MAX, d, a, s, n) }
export function min_vv(d: usize, a: usize, b: usize, n: i32): void { vv(MIN, d, a, b, n) }
export function min_vs(d: usize, a: usize, s: f32, n: i32): void { vs(MIN, d, a, s, n) }
export function ge_vv(d: usize, a: usize, b: usize, n: i32): void { vv(GE, d, a, b, n) }
export function ge_vs(d: usize, a: usize, s: f32, n: i32): void { vs(GE, d, a, s, n) }
export function ge_sv(d: usize, s: f32, b: usize, n: i32): void { sv(GE, d, s, b, n) }
export function gt_vv(d: usize, a: usize, b: usize, n: i32): void { vv(GT, d, a, b, n) }
export function gt_vs(d: usize, a: usize, s: f32, n: i32): void { vs(GT, d, a, s, n) }
export function gt_sv(d: usize, s: f32, b: usize, n: i32): void { sv(GT, d, s, b, n) }
export function eq_vv(d: usize, a: usize, b: usize, n: i32): void { vv(EQ, d, a, b, n) }
export function eq_vs(d: usize, a: usize, s: f32, n: i32): void { vs(EQ, d, a, s, n) }

@inline function choose(test: v128, yes: v128, no: v128): v128 { return v128.bitselect(yes, no, f32x4.ne(test, f32x4.splat(0))) }

export function where_vv(d: usize, c: usize, a: usize, b: usize, n: i32): void {
  const end = d + (<usize>n << 2)
  while (d < end) {
    v128.store(d, choose(v128.load(c), v128.load(a), v128.load(b)))
    v128.store(d, choose(v128.load(c, 16), v128.load(a, 16), v128.load(b, 16)), 16)
    v128.store(d, choose(v128.load(c, 32), v128.load(a, 32), v128.load(b, 32)), 32)
    v128.store(d, choose(v128.load(c, 48), v128.load(a, 48), v128.load(b, 48)), 48)
    d += STEP
    c += STEP
    a += STEP
    b += STEP
  }
}
export function where_vs(d: usize, c: usize, a: usize, s: f32, n: i32): void {
  const end = d + (<usize>n << 2)
  const no = f32x4.splat(s)
  while (d < end) {
    v128.store(d, choose(v128.load(c), v128.load(a), no))
    v128.store(d, choose(v128.load(c, 16), v128.load(a, 16), no), 16)
    v128.store(d, choose(v128.load(c, 32), v128.load(a, 32), no), 32)
    v128.store(d, choose(v128.load(c, 48), v128.load(a, 48), no), 48)
    d += STEP
    c += STEP
    a += STEP
  }
}
export function where_sv(d: usize, c: usize, s: f32, b: usize, n: i32): void {
  const end = d + (<usize>n << 2)
  const yes = f32x4.splat(s)
  while (d < end) {
    v128.store(d, choose(v128.load(c), yes, v128.load(b)))
    v128.store(d, choose(v128.load(c, 16), yes, v128.load(b, 16)), 16)
    v128.store(d, choose(v128.load(c, 32), yes, v128.load(b, 32)), 32)
    v128.store(d, choose(v128.load(c, 48), yes, v128.load(b, 48)), 48)
    d += STEP
    c += STEP
    b += STEP
  }
}
export function where_ss(d: usize, c: usize, s: f32, r: f32, n: i32): void {
  const end = d + (<usize>n << 2)
  const yes = f32x4.splat(s)
  const no = f32x4.splat(r)
  while (d < end) {
    v128.store(d, choose(v128.load(c), yes, no))
    v128.store(d, choose(v128.load(c, 16), yes, no), 16)
    v128.store(d, choose(v128.load(c, 32), yes, no), 32)
    v128.store(d, choose(v128.load(c, 48), yes, no), 48)
    d += STEP
    c += STEP
  }
}

/** d = a + s·b, each step rounded to f32 as add after mul: the most common pair of ops, in one trip through the cache. */
export function addmul_vvs(d: usize, a: usize, b: usize, s: f32, n: i32): void {
  const end = d + (<usize>n << 2)
  const y = f32x4.splat(s)
  while (d < end) {
    v128.store(d, f32x4.add(v128.load(a), f32x4.mul(v128.load(b), y)))
    v128.store(d, f32x4.add(v128.load(a, 16), f32x4.mul(v128.load(b, 16), y)), 16)
    v128.store(d, f32x4.add(v128.load(a, 32), f32x4.mul(v128.load(b, 32), y)), 32)
    v128.store(d, f32x4.add(v128.load(a, 48), f32x4.mul(v128.load(b, 48), y)), 48)
    d += STEP
    a += STEP
    b += STEP
  }
}

// Fused ops: what several ops give, in one trip through the cache. Each rounds where its parts would.

/** d = |a − b| */
export function absdiff_vv(d: usize, a: usize, b: usize, n: i32): void {
  const end = d + (<usize>n << 2)
  while (d < end) {
    v128.store(d, abs4(f32x4.sub(v128.load(a), v128.load(b))))
    v128.store(d, abs4(f32x4.sub(v128.load(a, 16), v128.load(b, 16))), 16)
    v128.store(d, abs4(f32x4.sub(v128.load(a, 32), v128.load(b, 32))), 32)
    v128.store(d, abs4(f32x4.sub(v128.load(a, 48), v128.load(b, 48))), 48)
    d += STEP
    a += STEP
    b += STEP
  }
}

@inline function large(x: v128, s: v128): v128 { return v128.and(x, f32x4.ge(abs4(x), s)) }

/** d = a where |a| ≥ s, else 0 */
export function keeplarge_vs(d: usize, a: usize, s: f32, n: i32): void {
  const end = d + (<usize>n << 2)
  const y = f32x4.splat(s)
  while (d < end) {
    v128.store(d, large(v128.load(a), y))
    v128.store(d, large(v128.load(a, 16), y), 16)
    v128.store(d, large(v128.load(a, 32), y), 32)
    v128.store(d, large(v128.load(a, 48), y), 48)
    d += STEP
    a += STEP
  }
}

/** d = b where s > a, else 0 */
export function keepbelow_svv(d: usize, s: f32, a: usize, b: usize, n: i32): void {
  const end = d + (<usize>n << 2)
  const y = f32x4.splat(s)
  while (d < end) {
    v128.store(d, v128.and(v128.load(b), f32x4.gt(y, v128.load(a))))
    v128.store(d, v128.and(v128.load(b, 16), f32x4.gt(y, v128.load(a, 16))), 16)
    v128.store(d, v128.and(v128.load(b, 32), f32x4.gt(y, v128.load(a, 32))), 32)
    v128.store(d, v128.and(v128.load(b, 48), f32x4.gt(y, v128.load(a, 48))), 48)
    d += STEP
    a += STEP
    b += STEP
  }
}

@inline function signOf(x: v128): v128 {
  const zero = f32x4.splat(0)
  return f32x4.sub(ones(f32x4.gt(x, zero)), ones(f32x4.lt(x, zero)))
}

/** d = 1 where sign(a) = b, else 0 */
export function signeq_vv(d: usize, a: usize, b: usize, n: i32): void {
  const end = d + (<usize>n << 2)
  while (d < end) {
    v128.store(d, ones(f32x4.eq(signOf(v128.load(a)), v128.load(b))))
    v128.store(d, ones(f32x4.eq(signOf(v128.load(a, 16)), v128.load(b, 16))), 16)
    v128.store(d, ones(f32x4.eq(signOf(v128.load(a, 32)), v128.load(b, 32))), 32)
    v128.store(d, ones(f32x4.eq(signOf(v128.load(a, 48)), v128.load(b, 48))), 48)
    d += STEP
    a += STEP
    b += STEP
  }
}

export function abs_v(d: usize, a: usize, n: i32): void {
  const end = d + (<usize>n << 2)
  for (; d < end; d += 16, a += 16) v128.store(d, abs4(v128.load(a)))
}
export function sqrt_v(d: usize, a: usize, n: i32): void {
  const end = d + (<usize>n << 2)
  for (; d < end; d += 16, a += 16) v128.store(d, f32x4.sqrt(v128.load(a)))
}
export function sign_v(d: usize, a: usize, n: i32): void {
  const end = d + (<usize>n << 2)
  for (; d < end; d += 16, a += 16) v128.store(d, signOf(v128.load(a)))
}
// Transcendental ops run in f64 with AssemblyScript's own (musl's) functions and round once, so every machine gives the same bits.
export function sin_v(d: usize, a: usize, n: i32): void {
  const end = d + (<usize>n << 2)
  for (; d < end; d += 4, a += 4) store<f32>(d, <f32>sin(<f64>load<f32>(a)))
}
export function acos_v(d: usize, a: usize, n: i32): void {
  const end = d + (<usize>n << 2)
  for (; d < end; d += 4, a += 4) store<f32>(d, <f32>acos(<f64>load<f32>(a)))
}

// The same functions for scalars, which stay in f64 until they meet a strip.
export function sin(x: f64): f64 { return NativeMath.sin(x) }
export function acos(x: f64): f64 { return NativeMath.acos(max<f64>(-1, min<f64>(1, x))) }
