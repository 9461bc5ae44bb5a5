import { expect, test } from 'vitest'
import { Tensor } from '../src/algebra/tensor.ts'
import { METHODS } from '../src/methods/_all.ts'
import { run } from './engine.ts'
import { evaluate } from './reference.ts'
import { createEngine } from '../src/kernels/kernels.ts'

test('philox', () => {
  const e = createEngine(1024)
  const at = e.heap
  const u = new Uint32Array(e.memory.buffer, at, 6); u.fill(0)
  e.kernels.philox(at, 7); console.log([...u.slice(0,4)].map(x => x.toString(16)))
  u.fill(0); e.kernels.philox(at, 10); console.log([...u.slice(0,4)].map(x => x.toString(16)))
})
test('ties', async () => {
  const n = 200_003
  const src = [0,1,2].map(k => Float32Array.from({length: n}, (_, i) => Math.sin(i * 1.7 + k) + (k ? Math.cos(i * k * 3.1) : 0)))
  const shape = [n]
  for (const name of ['ties', 'task_arithmetic', 'dare_linear', 'linear']) {
    const m = METHODS[name]!
    const base = Tensor.source(0, shape)
    const models = [1,2].map(i => ({ index: i-1, tensor: Tensor.source(i, shape), delta: Tensor.source(i, shape).sub(base), weight: 0.5*i, density: 0.3 }))
    const root = m.merge({ name: 'x', shape, base, models, random: l => Tensor.random(String(l), shape) }, { lambda: 0.9, normalize: true, rescale: name==='dare_linear' })
    const a = await run(root, src)
    const b = await run(root, src, { tiling: { strip: 256, chunk: 1024 }, range: 65536 })
    expect(Buffer.from(a.buffer).equals(Buffer.from(b.buffer))).toBe(true)
    if (name !== 'dare_linear') {
      const want = evaluate(root, src, () => new Float32Array(n))
      let worst = 0; for (let i = 0; i < n; i++) worst = Math.max(worst, Math.abs(want[i]! - a[i]!))
      console.log(name, worst)
    }
  }
})
