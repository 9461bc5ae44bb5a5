import { type FolderEntry, listFolder, readText } from '../bytes/file.ts'
import { MergeError } from '../errors.ts'
import { isObject, parseJson, parseJsonFile, show } from '../json.ts'
import { isPlainName } from './_index.ts'

/** A file that travels unchanged from an input to the merged model. */
export interface Sidecar {
  /** In the model's folder; with a slash for files of a sentence-transformers module: `1_Pooling/config.json`. */
  readonly name: string
  readonly path: string
  readonly size: number
  /** What it belongs to: tokenizer files may come from another model than the rest. Code that only the tokenizer names is `tokenizer`. */
  readonly role: 'config' | 'tokenizer' | 'code' | 'license'
}

const TOKENIZER =
  /^(?:(?:tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template|normalizer|tekken)\.json|vocab\.(?:txt|bpe)|merges\.txt|bpe\.codes|chat_template\.jinja|tokenizer\.model(?:\.v\w+)?|\w[\w.]*\.(?:spm|tiktoken)|(?:spiece|sentencepiece|sentencepiece\.bpe)\.model)$/
const CONFIG =
  /^(?:generation_config|preprocessor_config|processor_config|image_processor_config|video_preprocessor_config|feature_extractor(?:_config)?|feature_extraction_config|modules|sentence_bert_config|config_sentence_transformers)\.json$/
const LICENSE = /^(?:LICEN[CS]E|NOTICE|COPYING)(?:[-_.][\w.-]*)?$/i
const WEIGHTS = /\.safetensors(?:\.index\.json)?$/
const CODE = /^(?:configuration|modeling|tokenization|processing|image_processing|feature_extraction)_\w+\.py$/ // as transformers names a model's own
const MODULE = /^\d+_[A-Z]\w*\// // a folder of sentence-transformers

/** Whether a model's folder has files of this name, by its path in the folder: what replacing the model may delete. A user's own notes and scripts are none. */
export function isModelFile(path: string): boolean {
  const name = path.replace(MODULE, '')
  return name === 'config.json' || name === 'README.md' || [WEIGHTS, TOKENIZER, CONFIG, LICENSE, CODE].some(pattern => pattern.test(name))
}

/** The sidecars among the `entries` of a model's folder, in the order of their names. config.json itself is not one: it is rewritten. */
export async function collectSidecars(entries: readonly FolderEntry[], config: Readonly<Record<string, unknown>> | null, prefix: string): Promise<readonly Sidecar[]> {
  const files = new Map(entries.filter(({ isFile }) => isFile).map(entry => [entry.name, entry]))
  const roles = new Map<string, Sidecar['role']>()
  for (const name of files.keys()) {
    if (TOKENIZER.test(name)) roles.set(name, 'tokenizer')
    else if (CONFIG.test(name)) roles.set(name, 'config')
    else if (LICENSE.test(name)) roles.set(name, 'license')
  }
  const nested: Sidecar[] = []
  const modules = await readModules(files, prefix)
  for (const { path } of modules) nested.push(...(await moduleFiles(path, entries)))
  const code = [...autoMapped(config, `${prefix}config.json`), ...modules.flatMap(({ type }) => codeFile(type, `${prefix}modules.json`))]
  for (const name of [...roles.keys()].filter(name => CONFIG.test(name) && name !== 'modules.json')) code.push(...(await autoMappedIn(name, files, prefix)))
  for (const name of await withImports(code, files)) roles.set(name, 'code')
  for (const name of await withImports(await autoMappedIn('tokenizer_config.json', files, prefix), files)) if (!roles.has(name)) roles.set(name, 'tokenizer')
  const flat = [...roles].flatMap(([name, role]) => sidecarOf(files.get(name), name, role))
  return [...flat, ...nested].sort((a, b) => (a.name < b.name ? -1 : 1))
}

const sidecarOf = (entry: FolderEntry | undefined, name: string, role: Sidecar['role']): Sidecar[] => (entry ? [{ name, path: entry.path, size: entry.size, role }] : [])

const FIX = 'correct the file, or take it anew from the model’s source'

/** modules.json of sentence-transformers: the folders and classes of a model's parts. */
async function readModules(files: ReadonlyMap<string, FolderEntry>, prefix: string): Promise<readonly { readonly path: string; readonly type: string }[]> {
  const entry = files.get('modules.json')
  if (!entry) return []
  const where = `${prefix}modules.json`
  const list = parseJson(await readText(entry.path, where), (reason, at) => {
    throw new MergeError(`bad JSON: ${reason}`, { where: `${where}, character ${at}`, fix: FIX })
  })
  if (!Array.isArray(list)) throw new MergeError('modules.json must be a list of modules', { where, fix: FIX })
  return list.filter(isObject).map(({ path, type }) => {
    const folder = typeof path === 'string' ? path : ''
    if (folder !== '' && !isPlainName(folder))
      throw new MergeError(`module folder ${show(folder)} is not a plain name`, { where, fix: 'modules lie in the model’s folder: do not trust a file that leads elsewhere' })
    return { path: folder, type: typeof type === 'string' ? type : '' }
  })
}

/** All files of a module's folder: a Dense module has weights of its own. A module without files (Normalize) has no folder. */
async function moduleFiles(folder: string, entries: readonly FolderEntry[]): Promise<Sidecar[]> {
  const entry = entries.find(({ name, isFile }) => name === folder && !isFile)
  const inner = entry ? ((await listFolder(entry.path)) ?? []) : []
  return inner.filter(({ isFile }) => isFile).map(({ name, path, size }) => ({ name: `${folder}/${name}`, path, size, role: 'config' }))
}

async function autoMappedIn(name: string, files: ReadonlyMap<string, FolderEntry>, prefix: string): Promise<string[]> {
  const entry = files.get(name)
  if (!entry || !name.endsWith('.json')) return []
  const text = await readText(entry.path, prefix + name)
  return text.includes('auto_map') ? autoMapped(parseJsonFile(prefix + name, text, FIX), prefix + name) : []
}

/** Python files in `auto_map`: { AutoModel: 'module.Class', AutoTokenizer: ['repo--module.Class', null] }. */
function autoMapped(config: Readonly<Record<string, unknown>> | null, where: string): string[] {
  const map = config?.auto_map
  if (!isObject(map)) return []
  return Object.values(map)
    .flat()
    .flatMap(reference => (typeof reference === 'string' ? codeFile(reference, where) : []))
}

/** The file of `module.Class`; of `repo--module.Class` too, since a copy may lie here. Empty for `package.module.Class`. */
function codeFile(reference: string, where: string): string[] {
  const plain = reference.slice(reference.lastIndexOf('--') === -1 ? 0 : reference.lastIndexOf('--') + 2)
  if (plain !== '' && !/^[\p{L}\p{N}_.-]+$/u.test(plain))
    throw new MergeError(`${show(reference)} is not the name of a Python class`, { where, fix: 'do not trust a file that leads elsewhere' })
  const [module, , ...more] = plain.split('.')
  return module && more.length === 0 ? [`${module}.py`] : []
}

/** The `names` that exist, and what they import from beside them: transformers copies the same files. */
async function withImports(names: readonly string[], files: ReadonlyMap<string, FolderEntry>): Promise<Set<string>> {
  const found = new Set<string>()
  const queue = [...names]
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const entry = files.get(name)
    if (!entry || found.has(name)) continue
    found.add(name)
    for (const [, module] of (await readText(entry.path, name)).matchAll(/^[ \t]*from[ \t]+\.(\w+)[ \t]+import\b/gm)) queue.push(`${module}.py`)
  }
  return found
}
