const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12, ki: 2 ** 10, mi: 2 ** 20, gi: 2 ** 30, ti: 2 ** 40 }

/** The bytes meant by `5GB`, `500 MB`, `1.5GiB` or a plain number; null when it is no size. GB is 10⁹ bytes, GiB 2³⁰. */
export function parseSize(text: string): number | null {
  const match = /^\s*(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?i?)b?\s*$/i.exec(text)
  const unit = match && UNITS[match[2]!.toLowerCase()]
  if (!match || unit === undefined || unit === null) return null
  const bytes = Math.round(Number(match[1]) * unit)
  return Number.isSafeInteger(bytes) ? bytes : null
}
