/** A model in memory, ready to run: every tensor as f32, by its name in the checkpoint. */
export type Weights = ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>
