/** Every hostile checkpoint of test/hostile/files, built from a few lines: case → path → content. `open` is given `<case>/model`. */
export function cases(): Readonly<Record<string, Files>> {
  return { ...headerLengths(), ...headerTexts(), ...entries(), ...ranges(), ...indices(), ...folders() }
}

/** Small models that open without complaint but hold numbers that are none. The bits stand here as in the file: little-endian. */
export function nonfinite(): Readonly<Record<string, Files>> {
  const one = (dtype: string, width: number, good: number[], bad: number[]): Files => {
    const fine = [...good, ...good, ...good, ...good]
    const broken = [...good, ...good, ...bad, ...good] // element 2 is the bad one
    const json = header({ 'fine.weight': [dtype, [2, 2], 0, 4 * width], 'broken.weight': [dtype, [2, 2], 4 * width, 8 * width] })
    return weights(json, [...fine, ...broken])
  }
  return {
    'bf16-nan': one('BF16', 2, [0x80, 0x3f], [0xc0, 0x7f]),
    'f32-nan-payload': one('F32', 4, [0x00, 0x00, 0x80, 0x3f], [0xef, 0xbe, 0xad, 0x7f]),
    'f16-inf': one('F16', 2, [0x00, 0x3c], [0x00, 0x7c]),
    'e4m3-nan': one('F8_E4M3', 1, [0x38], [0x7f]),
    'e5m2-inf': one('F8_E5M2', 1, [0x3c], [0xfc]),
    'f64-nan': one('F64', 8, [0, 0, 0, 0, 0, 0, 0xf0, 0x3f], [1, 0, 0, 0, 0, 0, 0xf8, 0xff]),
  }
}

/** Path → content. */
export type Files = Readonly<Record<string, string | Uint8Array>>

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** A safetensors file: the header's length (or what it claims to be), the header, the data. */
function file(head: string | Uint8Array, data: readonly number[] = [], claimed?: bigint): Uint8Array {
  const json = typeof head === 'string' ? utf8(head) : head
  const bytes = new Uint8Array(8 + json.length + data.length)
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true)
  bytes.set(json, 8)
  bytes.set(data, 8 + json.length)
  return bytes
}

const weights = (head: string | Uint8Array, data: readonly number[] = [], claimed?: bigint): Files => ({ 'model/model.safetensors': file(head, data, claimed) })

type Entry = readonly [dtype: unknown, shape: unknown, start: unknown, end: unknown]
const header = (tensors: Readonly<Record<string, Entry>>): string =>
  JSON.stringify(Object.fromEntries(Object.entries(tensors).map(([name, [dtype, shape, start, end]]) => [name, { dtype, shape, data_offsets: [start, end] }])))

const zeros = (count: number): number[] => new Array<number>(count).fill(0)
const A: Entry = ['F32', [2], 0, 8]

function headerLengths(): Record<string, Files> {
  return {
    'length-empty-file': { 'model/model.safetensors': new Uint8Array(0) },
    'length-five-bytes': { 'model/model.safetensors': new Uint8Array(5) },
    'length-zero': weights('', []),
    'length-beyond-file': weights(header({ a: A }), [], 4096n),
    'length-trillion': weights(header({ a: A }), zeros(8), 1_000_000_000_000n),
    'length-all-ones': weights(header({ a: A }), zeros(8), 2n ** 64n - 1n),
    'other-git-lfs': {
      'model/model.safetensors': 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n',
    },
    'other-web-page': { 'model/model.safetensors': '<!DOCTYPE html><html><body>Not found</body></html>' },
    'other-gguf': { 'model/model.safetensors': 'GGUF\u0003\0\0\0\0\0\0\0\0\0\0\0' },
    'other-zip': { 'model/model.safetensors': 'PK\u0003\u0004\0\0\0\0\0\0archive/data.pkl' },
  }
}

function headerTexts(): Record<string, Files> {
  return {
    'json-not-utf8': weights(Uint8Array.of(0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d)),
    'json-byte-order-mark': weights('\ufeff{}'),
    'json-comma': weights('{"a":{"dtype":"F32",}}'),
    'json-ends': weights('{"a":{"dtype":"F3'),
    'json-two-values': weights('{} {}'),
    'json-zero-padding': weights('{}\0\0\0\0\0\0'),
    'json-control-character': weights('{"a\u001b[31m":{}}'),
    'json-bad-escape': weights('{"\\x41":{}}'),
    'json-list': weights('[1,2]'),
    'json-deep': weights(`{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`),
    'json-duplicate-name': weights(
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
      zeros(8),
    ),
    'json-duplicate-escaped': weights('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', zeros(8)),
    'json-duplicate-field': weights('{"a":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}}', zeros(4)),
    'metadata-list': weights('{"__metadata__":["pt"]}'),
    'metadata-number': weights('{"__metadata__":{"format":"pt","epoch":3}}'),
    'metadata-half-character': weights('{"__metadata__":{"author":"\\ud83d"}}'),
  }
}

function entries(): Record<string, Files> {
  const entry = (json: string, name = 'model.norm.weight', dataBytes = 8): Files => weights(`{${JSON.stringify(name)}:${json}}`, zeros(dataBytes))
  const of = (dtype: unknown, shape: unknown, start: unknown = 0, end: unknown = 8): Files => weights(header({ 'model.norm.weight': [dtype, shape, start, end] }), zeros(8))
  const raw = (shape: string, offsets = '[0,8]'): Files => entry(`{"dtype":"F32","shape":${shape},"data_offsets":${offsets}}`)
  return {
    'entry-number': entry('7'),
    'entry-no-dtype': entry('{"shape":[2],"data_offsets":[0,8]}'),
    'entry-no-shape': entry('{"dtype":"F32","data_offsets":[0,8]}'),
    'entry-no-offsets': entry('{"dtype":"F32","shape":[2]}'),
    'entry-unknown-field': entry('{"dtype":"F32","shape":[2],"data_offsets":[0,8],"scale":0.5}'),
    'entry-proto': entry('1', '__proto__'),
    'entry-constructor': entry('{"dtype":"F32","shape":[3],"data_offsets":[0,8]}', 'constructor'),
    'name-half-character': weights('{"\\udc00":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', zeros(8)),
    'name-terminal-codes': entry('null', '\u001b[2J\u0007\u202egnp.exe'),
    'name-long': entry('null', 'x'.repeat(3000)),
    'dtype-number': of(32, [2]),
    'dtype-unknown': of('F33', [2]),
    'dtype-lower-case': of('bf16', [4]),
    'dtype-prototype': of('toString', [2]),
    'shape-object': of('F32', { 0: 2 }),
    'shape-string': of('F32', ['2']),
    'shape-negative': of('F32', [-2]),
    'shape-minus-zero': raw('[-0]', '[0,0]'),
    'shape-fraction': of('F32', [1.5]),
    'shape-too-large-number': raw('[9007199254740992]'),
    'shape-overflow': raw('[4294967296,4294967296]'),
    'shape-overflow-beside-zero': raw('[4294967296,4294967296,0]', '[0,0]'),
    'offsets-three': entry('{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}'),
    'offsets-fraction': of('F32', [2], 0.5, 8.5),
    'offsets-string': of('F32', [2], '0', '8'),
    'offsets-reversed': of('F32', [2], 8, 0),
    'bytes-too-few': of('F32', [2, 2]),
    'bytes-too-many': of('F16', [2]),
  }
}

function ranges(): Record<string, Files> {
  return {
    'range-overlap': weights(header({ a: A, b: ['F32', [2], 4, 12] }), zeros(12)),
    'range-shared': weights(header({ a: A, b: A }), zeros(8)),
    'range-empty-inside': weights(header({ a: A, b: ['F32', [0], 4, 4] }), zeros(8)),
    'range-hole': weights(header({ a: A, b: ['F32', [2], 12, 20] }), zeros(20)),
    'range-hole-first': weights(header({ a: ['F32', [2], 4, 12] }), zeros(12)),
    'range-out-of-file': weights(header({ a: ['U8', [9007199254740991], 0, 9007199254740991] }), zeros(8)),
    'range-truncated': weights(header({ a: A, b: ['F32', [2, 2], 8, 24] }), zeros(15)),
    'range-trailing-bytes': weights(header({ a: A }), zeros(9)),
    'range-data-without-tensors': weights('{}', zeros(1)),
  }
}

const FIRST = 'model-00001-of-00002.safetensors'
const SECOND = 'model-00002-of-00002.safetensors'
const shards: Files = { [`model/${FIRST}`]: file(header({ a: A }), zeros(8)), [`model/${SECOND}`]: file(header({ b: A }), zeros(8)) }

function indices(): Record<string, Files> {
  const raw = (text: string, files: Files = shards): Files => ({ 'model/model.safetensors.index.json': text, ...files })
  const map = (weightMap: unknown, files: Files = shards): Files => raw(`${JSON.stringify({ metadata: { total_size: 16 }, weight_map: weightMap }, null, 2)}\n`, files)
  const leads = (to: string): Files => map({ a: FIRST, b: to })
  return {
    'index-bad-json': raw(`{\n  "weight_map": {\n    "a": "${FIRST}"\n    "b": "${SECOND}"\n  }\n}\n`),
    'index-list': raw('[]'),
    'index-no-map': raw('{"metadata":{}}'),
    'index-map-list': map([FIRST, SECOND]),
    'index-map-empty': map({}),
    'index-number': map({ a: FIRST, b: 2 }),
    'index-twice': raw(`{"weight_map":{"a":"${FIRST}","b":"${SECOND}","a":"${SECOND}"}}`),
    'index-leads-up': leads('../model.safetensors'),
    'index-leads-absolute': leads('/etc/passwd'),
    'index-leads-backslash': leads('..\\model.safetensors'),
    'index-leads-nul': leads(`${SECOND}\0.png`),
    'index-leads-url': leads('https://example.com/model.safetensors'),
    'index-leads-drive': leads('C:model.safetensors'),
    'index-leads-dots': leads('..'),
    'index-leads-nowhere': leads(''),
    'index-not-safetensors': leads('pytorch_model.bin'),
    'index-missing-shard': map({ a: FIRST, b: SECOND, c: 'model-00003-of-00003.safetensors' }),
    'index-tensor-absent': map({ a: FIRST, b: SECOND, c: SECOND }),
    'index-tensor-unlisted': map({ a: FIRST, c: SECOND }),
    'index-wrong-shard': map({ a: SECOND, b: FIRST }),
    'index-tensor-twice': map({ a: FIRST, b: SECOND }, { ...shards, [`model/${SECOND}`]: file(header({ a: A, b: ['F32', [2], 8, 16] }), zeros(16)) }),
    'index-truncated-shard': map({ a: FIRST, b: SECOND }, { ...shards, [`model/${SECOND}`]: file(header({ b: A }), zeros(3)) }),
    'index-proto': map(JSON.parse(`{"a":"${FIRST}","b":"${SECOND}","__proto__":"${SECOND}"}`)),
  }
}

function folders(): Record<string, Files> {
  const good = file(header({ a: A }), zeros(8))
  const withGood = (files: Files): Files => ({ 'model/model.safetensors': good, ...files })
  return {
    'folder-missing': { 'modle/model.safetensors': good },
    'folder-without-weights': { 'model/config.json': '{}\n', 'model/README.md': '# A model\n' },
    'folder-pytorch': { 'model/config.json': '{}\n', 'model/pytorch_model.bin': 'PK' },
    'folder-gguf': { 'model/model-Q4_K_M.gguf': 'GGUF' },
    'folder-of-models': { 'model/base/model.safetensors': good, 'model/math/model.safetensors': good },
    'folder-two-models': { 'model/base.safetensors': good, 'model/math.safetensors': good },
    'folder-shard-missing': { 'model/model-00002-of-00003.safetensors': good },
    'folder-shards-share-tensor': { [`model/${FIRST}`]: good, [`model/${SECOND}`]: good },
    'config-bad-json': withGood({ 'model/config.json': '{\n  "model_type": "llama",\n  "hidden_size": 0x80\n}\n' }),
    'config-list': withGood({ 'model/config.json': '["llama"]\n' }),
    'config-deep': withGood({ 'model/config.json': `{"a":${'['.repeat(5000)}${']'.repeat(5000)}}\n` }),
    'config-not-utf8': withGood({ 'model/config.json': Uint8Array.of(0x7b, 0xff, 0x7d) }),
    'config-code-leads-up': withGood({ 'model/config.json': '{"auto_map":{"AutoModel":"../evil.Model"}}\n' }),
    'modules-lead-up': withGood({ 'model/modules.json': '[{"idx":1,"name":"1","path":"../../1_Pooling","type":"sentence_transformers.models.Pooling"}]\n' }),
    'modules-object': withGood({ 'model/modules.json': '{}\n' }),
  }
}
