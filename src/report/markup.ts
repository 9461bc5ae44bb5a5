/** Text as HTML shows it: nothing of it is markup. */
export const text = (value: string | number): string =>
  String(value).replaceAll(/[&<>"'\p{Cc}]/gu, c => (c === '\n' ? c : (ENTITIES[c] ?? `\\u{${c.codePointAt(0)!.toString(16)}}`)))

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

type Attributes = Readonly<Record<string, string | number | null>>

/** An element whose content is markup already. */
export function element(name: string, attributes: Attributes = {}, content: readonly string[] | string = ''): string {
  const own = Object.entries(attributes).flatMap(([key, value]) => (value === null ? [] : [` ${key}="${text(value)}"`]))
  return `<${name}${own.join('')}>${typeof content === 'string' ? content : content.join('')}</${name}>`
}

/** A table; the first row is its head, and columns in `numbers` hold numbers. Cells are text. */
export function htmlTable(rows: readonly (readonly string[])[], numbers: readonly number[] = []): string {
  const [head, ...body] = rows
  const cells = (row: readonly string[], tag: 'th' | 'td'): string =>
    element(
      'tr',
      {},
      row.map((cell, c) => element(tag, { class: numbers.includes(c) ? 'number' : null, scope: tag === 'th' ? 'col' : null }, text(cell))),
    )
  return element(
    'div',
    { class: 'wide' },
    element('table', {}, [
      element('thead', {}, cells(head!, 'th')),
      element(
        'tbody',
        {},
        body.map(row => cells(row, 'td')),
      ),
    ]),
  )
}

/** Colours that readers who see few of them tell apart (Okabe and Ito 2008, https://jfly.uni-koeln.de/color/), in the order they are given out. */
export const SERIES = ['var(--c0)', 'var(--c1)', 'var(--c2)', 'var(--c3)', 'var(--c4)', 'var(--c5)', 'var(--c6)'] as const
export const colourOf = (index: number): string => SERIES[index % SERIES.length]!

/** One file that needs no other: styles within, no script. Light or dark as the reader's system is; prints on white. */
export function page(title: string, sections: readonly string[]): string {
  const head = ['<meta charset="utf-8">', '<meta name="viewport" content="width=device-width, initial-scale=1">', element('title', {}, text(title)), `<style>${STYLE}</style>`]
  return `<!doctype html>\n${element('html', { lang: 'en' }, [element('head', {}, head), element('body', {}, element('main', {}, [element('h1', {}, text(title)), ...sections]))])}\n`
}

export const section = (title: string, content: readonly string[]): string => element('section', {}, [element('h2', {}, text(title)), ...content])

const STYLE = `
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5c6370; --line: #d8dbe0; --paper: #fff; --box: #f5f6f8;
  --c0: #5c6370; --c1: #0072b2; --c2: #d55e00; --c3: #009e73; --c4: #cc79a7; --c5: #b8860b; --c6: #56b4e9 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e7ea; --soft: #a2a8b4; --line: #3b4049; --paper: #16181c; --box: #1f2228;
  --c0: #a2a8b4; --c1: #4aa8e0; --c2: #f08a3c; --c3: #2fc79b; --c4: #e09cc4; --c5: #e0b040; --c6: #8ccdf2 } }
@media print { :root { --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --box: #f5f5f5 } section { break-inside: avoid } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1rem 4rem }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
p { margin: .4rem 0 } .soft { color: var(--soft) }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top } th { font-weight: 600 }
.number { text-align: right; white-space: nowrap }
pre { background: var(--box); padding: .8rem; overflow-x: auto; border-radius: 6px; font-size: .88rem } code { overflow-wrap: anywhere }
svg { display: block; width: 100%; height: auto; min-width: 30rem; max-width: 46rem } svg text { fill: var(--ink); font: 12px system-ui, sans-serif } svg .soft { fill: var(--soft) }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: .4rem 0; font-size: .9rem } .legend span::before { content: ""; display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 50%; background: var(--key) }
`
