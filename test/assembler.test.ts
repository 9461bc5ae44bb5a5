import { describe, expect, test } from 'vitest'
import { assemble, type Code, type FunctionSpec, type Imported } from '../src/kernels/assembler.ts'

// The writer of WebAssembly modules, by running what it writes. That every instruction has its right number shows in what formulas give.

const memory = new WebAssembly.Memory({ initial: 2 })
const words = new Int32Array(memory.buffer)
const floats = new Float32Array(memory.buffer)

function load(functions: readonly FunctionSpec[], imported: readonly Imported[] = [], imports: WebAssembly.Imports = {}): Readonly<Record<string, (...args: number[]) => void>> {
  const bytes = assemble(functions, imported)
  expect(WebAssembly.validate(bytes)).toBe(true)
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory }, ...imports }).exports as Readonly<Record<string, (...args: number[]) => void>>
}

/** Runs one function of the given numbers over a clean memory. */
function run(write: (code: Code) => void, ...args: number[]): void {
  words.fill(0)
  load([{ name: 'f', params: args.length, write }])['f']!(...args)
}

test('whole numbers of any size are written in LEB128', () => {
  const edges = [0, 1, 63, 64, -1, -64, -65, 127, 128, 8191, 8192, -8192, -8193, 2 ** 20, 2 ** 27 - 1, 2 ** 31 - 1, -(2 ** 31)]
  for (const value of edges) {
    run(code => {
      code.get(0)
      code.i32(value)
      code.memory('i32.store')
    }, 8)
    expect(words[2]).toBe(value)
  }
})

test('offsets of any size are written in LEB128', () => {
  for (const offset of [0, 4, 124, 128, 132, 16_380, 16_384, 65_536, 131_068]) {
    run(code => {
      code.get(0)
      code.i32(7)
      code.memory('i32.store', offset)
    }, 0)
    expect({ offset, at: words.indexOf(7) }).toEqual({ offset, at: offset / 4 })
  }
})

test('locals come after the parameters, hundreds of them, of every type', () => {
  run(
    code => {
      const vectors = Array.from({ length: 150 }, () => [code.local('v128'), code.local('i32')] as const)
      expect(vectors[0]).toEqual([2, 3])
      for (const [i, [vector, number]] of vectors.entries()) {
        code.i32(i)
        code.tee(number)
        code.emit('i32x4.splat')
        code.set(vector)
      }
      for (const [i, [vector, number]] of vectors.entries()) {
        code.get(0, vector)
        code.memory('v128.store', 32 * i)
        code.get(1, number)
        code.memory('i32.store', 32 * i)
      }
    },
    64,
    80,
  )
  for (let i = 0; i < 150; i++) expect([...words.subarray(16 + 8 * i, 24 + 8 * i)]).toEqual([i, i, i, i, i, 0, 0, 0])
})

test('what is written ahead runs once, before the rest, in its own order', () => {
  run(code => {
    const total = code.local('i32')
    const count = code.local('i32')
    code.loop(() => {
      code.ahead(() => {
        code.i32(100)
        code.set(total)
      })
      code.ahead(() => {
        code.get(total)
        code.i32(5)
        code.emit('i32.add')
        code.set(total)
      })
      code.get(total)
      code.i32(1)
      code.emit('i32.add')
      code.set(total)
      code.get(count)
      code.i32(1)
      code.emit('i32.add')
      code.tee(count)
      code.i32(10)
      code.emit('i32.sub')
    })
    code.get(0, total)
    code.memory('i32.store')
  }, 0)
  expect(words[0]).toBe(100 + 5 + 10)
})

test('a condition runs its body for any number but 0', () => {
  for (const condition of [0, 1, -1, 256]) {
    run(
      code => {
        code.get(1)
        code.when(() => {
          code.get(0)
          code.i32(9)
          code.memory('i32.store')
        })
      },
      0,
      condition,
    )
    expect({ condition, stored: words[0] }).toEqual({ condition, stored: condition === 0 ? 0 : 9 })
  }
})

test('lanes are taken, put and picked by their numbers', () => {
  floats.set([1, 2, 3, 4, 5, 6, 7, 8], 4)
  const { f } = load([
    {
      name: 'f',
      params: 1,
      write(code) {
        code.get(0)
        code.get(0)
        code.memory('v128.load', 16)
        code.get(0)
        code.memory('v128.load', 32)
        code.shuffle32([7, 0, 2, 5])
        code.get(0)
        code.memory('v128.load', 16)
        code.extractF32(3)
        code.replaceF32(1)
        code.memory('v128.store', 48)
      },
    },
  ])
  f!(0)
  expect([...floats.subarray(12, 16)]).toEqual([8, 4, 3, 6])
})

describe('a module', () => {
  const imported = [
    { module: 'own', name: 'half' },
    { module: 'own', name: 'größer' },
  ]
  const imports = { own: { half: (v: number) => v / 2, größer: (v: number) => v + 100 } }
  const applying = (index: number) => (code: Code) => {
    code.get(0)
    code.get(0)
    code.memory('v128.load')
    code.get(0)
    code.memory('v128.load')
    code.extractF32(0)
    code.emit('f64.promote_f32')
    code.call(index)
    code.emit('f32.demote_f64')
    code.replaceF32(0)
    code.memory('v128.store')
  }

  test('calls what it imports, and exports each function under its name, with its own count of parameters', () => {
    const functions = load(
      [
        { name: 'halve', params: 1, write: applying(0) },
        { name: 'add', params: 3, write: applying(1) },
        { name: 'nothing', params: 0, write: () => {} },
        { name: 'again', params: 1, write: applying(0) },
      ],
      imported,
      imports,
    )
    floats[0] = 3
    functions['halve']!(0)
    functions['add']!(0, 1, 2)
    functions['nothing']!()
    functions['again']!(0)
    expect(floats[0]).toBe(50.75)
    expect(Object.entries(functions).map(([name, f]) => [name, f.length])).toEqual([
      ['halve', 1],
      ['add', 3],
      ['nothing', 0],
      ['again', 1],
    ])
  })

  test('without imports has its memory all the same', () => {
    expect(WebAssembly.Module.imports(new WebAssembly.Module(assemble([])))).toEqual([{ module: 'env', name: 'memory', kind: 'memory' }])
  })
})
