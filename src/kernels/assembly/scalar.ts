// Functions of one number, in f64 with AssemblyScript's own (musl's) code, so that every machine gives the same bits. Scalars stay in f64 until
// they meet a tensor; for tensors generated code calls them lane by lane.

// AssemblyScript: compiled by `npm run generate`, not by tsc.

export function sin(x: f64): f64 { return NativeMath.sin(x) }
/** Arguments beyond ±1 (rounding) count as ±1. */
export function acos(x: f64): f64 { return NativeMath.acos(max<f64>(-1, min<f64>(1, x))) }
export function exp(x: f64): f64 { return NativeMath.exp(x) }
export function log(x: f64): f64 { return NativeMath.log(x) }
