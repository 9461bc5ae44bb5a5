// C = alpha·A·B + beta·C in f32 or f64: blocks of A and B are packed into panels in the order in which a 4 × 8 (f64: 4 × 4) micro-kernel reads
// them (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication"). A and B come with any row and column stride, so that
// a transposed operand costs nothing; C has rows of adjacent elements.
// Each element of C is the sum over blocks of KC products, each block summed in order: no bit depends on where a product is cut by rows or columns.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

const KC = 512 // products summed in registers before they are added to C: at 256 large products wait for C, and are a tenth slower
const MR = 4 // rows of the micro-kernel; its columns are two vectors
const A_BYTES: usize = 1 << 16 // the packed block of A stays in L2; twice as large is a tenth slower
const B_BYTES: usize = 1 << 20 // the packed block of B; a sliver of it, KC rows of two vectors, stays in L1

/** Bytes of scratch: the packed blocks and one tile. */
export function gemm_scratch(): usize { return A_BYTES + B_BYTES + 128 }

/**
 * Packs m × k elements into panels of `width` rows, each panel in the order of its columns; missing rows of the last panel are zeros.
 * Strides are in bytes.
 */
@inline function pack<S, T>(d: usize, a: usize, rows: usize, cols: usize, m: i32, k: i32, width: i32): void {
  const step = <usize>width * sizeof<T>()
  for (let i = 0; i < m; i += width) {
    const some = min(width, m - i)
    if (some < width) memory.fill(d, 0, step * k)
    const from = a + <usize>i * rows
    if (rows == sizeof<S>() && some == width) {
      let to = d
      for (let p = 0, at = from; p < k; p++, at += cols) {
        for (let r = 0; r < width; r++, to += sizeof<T>()) store<T>(to, <T>load<S>(at + <usize>r * sizeof<S>()))
      }
    } else {
      for (let r = 0; r < some; r++) {
        let to = d + <usize>r * sizeof<T>()
        for (let p = 0, at = from + <usize>r * rows; p < k; p++, at += cols, to += step) store<T>(to, <T>load<S>(at))
      }
    }
    d += step * k
  }
}
function pack_f32(d: usize, a: usize, rows: usize, cols: usize, m: i32, k: i32, width: i32): void {
  if (width == MR) pack<f32, f32>(d, a, rows, cols, m, k, MR)
  else pack<f32, f32>(d, a, rows, cols, m, k, 8)
}
function pack_f64(d: usize, a: usize, rows: usize, cols: usize, m: i32, k: i32): void { pack<f64, f64>(d, a, rows, cols, m, k, MR) }
function widen(d: usize, a: usize, rows: usize, cols: usize, m: i32, k: i32): void { pack<f32, f64>(d, a, rows, cols, m, k, MR) }

@inline function put<T>(c: usize, sum: v128, alpha: v128, beta: v128, isFresh: bool): void {
  const x = v128.mul<T>(sum, alpha)
  v128.store(c, isFresh ? x : v128.add<T>(x, v128.mul<T>(v128.load(c), beta)))
}

/** One tile of C: k steps over a panel of A and one of B. `isFresh` tells that beta is 0, so that C is not read. */
@inline function tile<T>(k: i32, a: usize, b: usize, c: usize, ldc: usize, alpha: T, beta: T): void {
  const zero = v128.splat<T>(0)
  let c00 = zero, c01 = zero, c10 = zero, c11 = zero, c20 = zero, c21 = zero, c30 = zero, c31 = zero
  for (const end = b + (<usize>k << 5); b < end; a += MR * sizeof<T>(), b += 32) {
    const x = v128.load(b)
    const y = v128.load(b, 16)
    const a0 = v128.load_splat<T>(a)
    c00 = v128.add<T>(c00, v128.mul<T>(a0, x))
    c01 = v128.add<T>(c01, v128.mul<T>(a0, y))
    const a1 = v128.load_splat<T>(a, sizeof<T>())
    c10 = v128.add<T>(c10, v128.mul<T>(a1, x))
    c11 = v128.add<T>(c11, v128.mul<T>(a1, y))
    const a2 = v128.load_splat<T>(a, 2 * sizeof<T>())
    c20 = v128.add<T>(c20, v128.mul<T>(a2, x))
    c21 = v128.add<T>(c21, v128.mul<T>(a2, y))
    const a3 = v128.load_splat<T>(a, 3 * sizeof<T>())
    c30 = v128.add<T>(c30, v128.mul<T>(a3, x))
    c31 = v128.add<T>(c31, v128.mul<T>(a3, y))
  }
  const by = v128.splat<T>(alpha)
  const old = v128.splat<T>(beta)
  const isFresh = beta == 0
  put<T>(c, c00, by, old, isFresh)
  put<T>(c + 16, c01, by, old, isFresh)
  c += ldc
  put<T>(c, c10, by, old, isFresh)
  put<T>(c + 16, c11, by, old, isFresh)
  c += ldc
  put<T>(c, c20, by, old, isFresh)
  put<T>(c + 16, c21, by, old, isFresh)
  c += ldc
  put<T>(c, c30, by, old, isFresh)
  put<T>(c + 16, c31, by, old, isFresh)
}
function tile_f32(k: i32, a: usize, b: usize, c: usize, ldc: usize, alpha: f32, beta: f32): void { tile<f32>(k, a, b, c, ldc, alpha, beta) }
function tile_f64(k: i32, a: usize, b: usize, c: usize, ldc: usize, alpha: f64, beta: f64): void { tile<f64>(k, a, b, c, ldc, alpha, beta) }

@inline function anyTile<T>(k: i32, a: usize, b: usize, c: usize, ldc: usize, alpha: T, beta: T): void {
  if (sizeof<T>() == 4) tile_f32(k, a, b, c, ldc, <f32>alpha, <f32>beta)
  else tile_f64(k, a, b, c, ldc, alpha, beta)
}

/** A tile at the edge of C goes through a whole one in scratch: the same arithmetic, so the same bits. An empty sum is a tile of zeros. */
@inline function partial<T>(c: usize, ldc: usize, t: usize, rows: i32, cols: i32, beta: T, isEmpty: bool): void {
  for (let i = 0; i < rows; i++, c += ldc, t += 32) {
    for (let j = 0; j < cols; j++) {
      const at = <usize>j * sizeof<T>()
      const x = isEmpty ? <T>0 : load<T>(t + at)
      store<T>(c + at, beta == 0 ? x : x + load<T>(c + at) * beta)
    }
  }
}

@inline function multiply<T>(c: usize, ldc: usize, a: usize, ars: usize, acs: usize, b: usize, brs: usize, bcs: usize, m: i32, n: i32, k: i32, alpha: T, beta: T, scratch: usize, isWideA: bool, isWideB: bool): void {
  const nr = <i32>(32 / sizeof<T>())
  const mc = <i32>(A_BYTES / (KC * sizeof<T>()))
  const nc = <i32>(B_BYTES / (KC * sizeof<T>()))
  const packedB = scratch + A_BYTES
  const spare = packedB + B_BYTES
  if (k == 0) return partial<T>(c, ldc, spare, m, n, beta, true)
  for (let j0 = 0; j0 < n; j0 += nc) {
    const cols = min(nc, n - j0)
    for (let p0 = 0; p0 < k; p0 += KC) {
      const depth = min(KC, k - p0)
      const old = p0 == 0 ? beta : 1
      const fromB = b + <usize>p0 * brs + <usize>j0 * bcs
      if (sizeof<T>() == 4) pack_f32(packedB, fromB, bcs, brs, cols, depth, 8)
      else if (isWideB) pack_f64(packedB, fromB, bcs, brs, cols, depth)
      else widen(packedB, fromB, bcs, brs, cols, depth)
      for (let i0 = 0; i0 < m; i0 += mc) {
        const rows = min(mc, m - i0)
        const fromA = a + <usize>i0 * ars + <usize>p0 * acs
        if (sizeof<T>() == 4) pack_f32(scratch, fromA, ars, acs, rows, depth, MR)
        else if (isWideA) pack_f64(scratch, fromA, ars, acs, rows, depth)
        else widen(scratch, fromA, ars, acs, rows, depth)
        for (let j = 0; j < cols; j += nr) {
          const panelB = packedB + (<usize>j * depth) * sizeof<T>()
          for (let i = 0; i < rows; i += MR) {
            const panelA = scratch + (<usize>i * depth) * sizeof<T>()
            const to = c + <usize>(i0 + i) * ldc + <usize>(j0 + j) * sizeof<T>()
            if (i + MR <= rows && j + nr <= cols) {
              anyTile<T>(depth, panelA, panelB, to, ldc, alpha, old)
            } else {
              anyTile<T>(depth, panelA, panelB, spare, 32, alpha, 0)
              partial<T>(to, ldc, spare, min(MR, rows - i), min(nr, cols - j), old, false)
            }
          }
        }
      }
    }
  }
}

// Leading dimensions and strides in elements; m, n ≥ 1; beta = 0 does not read C.
export function gemm_f32(c: usize, ldc: i32, a: usize, ars: i32, acs: i32, b: usize, brs: i32, bcs: i32, m: i32, n: i32, k: i32, alpha: f32, beta: f32, scratch: usize): void {
  multiply<f32>(c, <usize>ldc << 2, a, <usize>ars << 2, <usize>acs << 2, b, <usize>brs << 2, <usize>bcs << 2, m, n, k, alpha, beta, scratch, false, false)
}

/** A and B are f64 where `wideA` and `wideB` are 1, else f32. */
export function gemm_f64(c: usize, ldc: i32, a: usize, ars: i32, acs: i32, wideA: i32, b: usize, brs: i32, bcs: i32, wideB: i32, m: i32, n: i32, k: i32, alpha: f64, beta: f64, scratch: usize): void {
  const shiftA = 2 + wideA
  const shiftB = 2 + wideB
  multiply<f64>(c, <usize>ldc << 3, a, <usize>ars << shiftA, <usize>acs << shiftA, b, <usize>brs << shiftB, <usize>bcs << shiftB, m, n, k, alpha, beta, scratch, wideA != 0, wideB != 0)
}
