// Vector constants for loops. V8 builds a v128 literal anew at every use, which costs more than the op that needs it; one that was loaded
// from memory before the loop stays in a register.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

const WORDS = memory.data<u32>([0x7fffffff, 0x80000000, 0x3fffc, 0x7fff, 1, 0x0f800000, 0x38800000, 0x38000000, 0x00800000, 0x8000, 0x3f000000, 0xc8000fff, 0x7f800000, 0x47800000, 0x7e00, 0x7c00, 0x7fc00000])

@inline function constant(i: usize): v128 { return v128.load32_splat(WORDS + (i << 2)) }

/** Everything of an f32 but its sign. */
@inline export function magnitudeMask(): v128 { return constant(0) }
@inline export function signBit(): v128 { return constant(1) }
/** A 16-bit bin times 4, as a byte offset. */
@inline export function binMask(): v128 { return constant(2) }
@inline export function ones15(): v128 { return constant(3) }
@inline export function lowestBit(): v128 { return constant(4) }
/** f16's exponent bits, shifted to where f32 has them. */
@inline export function f16Exponent(): v128 { return constant(5) }
/** 2^-14 as f32: the least normal f16. */
@inline export function f16Smallest(): v128 { return constant(6) }
/** (127 − 15) << 23: from f16's bias to f32's. */
@inline export function f16Rebias(): v128 { return constant(7) }
/** 1 << 23 */
@inline export function exponentStep(): v128 { return constant(8) }
/** f16's sign bit. */
@inline export function f16Sign(): v128 { return constant(9) }
/** 0.5: its last bit weighs as much as f16's last subnormal bit. */
@inline export function f16Magic(): v128 { return constant(10) }
/** ((15 − 127) << 23) + 0xfff: rebias and half a unit. */
@inline export function f16Round(): v128 { return constant(11) }
@inline export function infinity(): v128 { return constant(12) }
/** 2^16 as f32: from here on f16 overflows. */
@inline export function f16Limit(): v128 { return constant(13) }
@inline export function f16Nan(): v128 { return constant(14) }
@inline export function f16Infinity(): v128 { return constant(15) }
@inline export function quietNan(): v128 { return constant(16) }
