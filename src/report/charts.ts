import { colourOf, element, text } from './markup.ts'

/** A value with its interval, as one mark of a chart. */
export interface Mark {
  readonly name: string
  readonly value: number
  readonly low: number | null
  readonly high: number | null
}

const WIDTH = 720
const RIGHT = 70 // for numbers

/** One line for each mark: a dot at its value, a bar over its interval. Marks keep the colour of their place. */
export function dotPlot(marks: readonly Mark[], spell: (value: number) => string): string {
  const left = roomFor(marks)
  const ends = marks.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value])
  const [least, most] = padded(Math.min(...ends), Math.max(...ends))
  const x = (value: number): number => round(left + ((value - least) / (most - least)) * (WIDTH - left - RIGHT))
  const ROW = 24
  const height = marks.length * ROW + 26
  const lines = marks.map(({ name, value, low, high }, i) => {
    const y = i * ROW + 14
    const told = `${name}: ${spell(value)}${low === null || high === null ? '' : ` (95 %: ${spell(low)} to ${spell(high)})`}`
    return element('g', {}, [
      element('title', {}, text(told)),
      element('text', { x: left - 10, y: y + 4, 'text-anchor': 'end' }, text(shortened(name))),
      ...(low === null || high === null ? [] : [element('line', { x1: x(low), x2: x(high), y1: y, y2: y, stroke: colourOf(i), 'stroke-width': 4, 'stroke-opacity': 0.45 })]),
      element('circle', { cx: x(value), cy: y, r: 5, fill: colourOf(i) }),
      element('text', { x: WIDTH - RIGHT + 12, y: y + 4 }, text(spell(value))),
    ])
  })
  const axis = ticksOf(least, most).map(tick =>
    element('g', {}, [
      element('line', { x1: x(tick), x2: x(tick), y1: 2, y2: height - 22, stroke: 'var(--line)' }),
      element('text', { class: 'soft', x: x(tick), y: height - 6, 'text-anchor': 'middle' }, text(spell(tick))),
    ]),
  )
  return svg(height, 'values with their intervals', [...axis, ...lines])
}

/** Bars of shares, where 0 is the base and 1 the best model: what of a gain is kept. */
export function shareBars(bars: readonly { readonly name: string; readonly share: number; readonly colour: number }[]): string {
  const left = roomFor(bars)
  const ROW = 24
  const [least, most] = [Math.min(0, ...bars.map(b => b.share)), Math.max(1, ...bars.map(b => b.share))]
  const x = (share: number): number => round(left + ((share - least) / (most - least)) * (WIDTH - left - RIGHT))
  const height = bars.length * ROW + 6
  const lines = bars.map(({ name, share, colour }, i) => {
    const y = i * ROW + 5
    return element('g', {}, [
      element('title', {}, text(`${name}: ${percent(share)}`)),
      element('text', { x: left - 10, y: y + 13, 'text-anchor': 'end' }, text(shortened(name))),
      element('rect', { x: x(Math.min(0, share)), y, width: Math.max(1, x(Math.max(0, share)) - x(Math.min(0, share))), height: 16, fill: colourOf(colour) }),
      element('text', { x: WIDTH - RIGHT + 12, y: y + 13 }, text(percent(share))),
    ])
  })
  const marks = [0, 1].map(share => element('line', { x1: x(share), x2: x(share), y1: 0, y2: height, stroke: 'var(--soft)', 'stroke-dasharray': share === 1 ? '3 3' : null }))
  return svg(height, 'shares of a gain', [...lines, ...marks])
}

/** Curves over one variable; `chosen` is marked by a line. */
export function curves(
  series: readonly { readonly name: string; readonly points: readonly (readonly [x: number, y: number])[] }[],
  { variable, chosen, spell }: { readonly variable: string; readonly chosen: number | null; readonly spell: (value: number) => string },
): string {
  const all = series.flatMap(s => s.points)
  const [left, right] = [Math.min(...all.map(([at]) => at)), Math.max(...all.map(([at]) => at))]
  const [least, most] = padded(Math.min(...all.map(([, y]) => y)), Math.max(...all.map(([, y]) => y)))
  const HEIGHT = 260
  const x = (value: number): number => round(60 + ((value - left) / (right - left || 1)) * (WIDTH - 80))
  const y = (value: number): number => round(HEIGHT - 40 - ((value - least) / (most - least)) * (HEIGHT - 60))
  const grid = [
    ...ticksOf(least, most).map(tick =>
      element('g', {}, [
        element('line', { x1: 60, x2: WIDTH - 20, y1: y(tick), y2: y(tick), stroke: 'var(--line)' }),
        element('text', { class: 'soft', x: 54, y: y(tick) + 4, 'text-anchor': 'end' }, text(spell(tick))),
      ]),
    ),
    ...ticksOf(left, right).map(tick => element('text', { class: 'soft', x: x(tick), y: HEIGHT - 22, 'text-anchor': 'middle' }, text(tidy(tick)))),
    element('text', { x: (WIDTH + 40) / 2, y: HEIGHT - 4, 'text-anchor': 'middle' }, text(variable)),
  ]
  const lines = series.map(({ name, points }, i) =>
    element('g', {}, [
      element('polyline', { points: points.map(([at, value]) => `${x(at)},${y(value)}`).join(' '), fill: 'none', stroke: colourOf(i), 'stroke-width': 2 }),
      ...points.map(([at, value]) =>
        element('circle', { cx: x(at), cy: y(value), r: 3.5, fill: colourOf(i) }, element('title', {}, text(`${name} at ${variable} ${tidy(at)}: ${spell(value)}`))),
      ),
    ]),
  )
  const line = chosen === null ? [] : [element('line', { x1: x(chosen), x2: x(chosen), y1: 16, y2: HEIGHT - 40, stroke: 'var(--ink)', 'stroke-dasharray': '4 3' })]
  return legend(series.map(s => s.name)) + svg(HEIGHT, `curves over ${variable}`, [...grid, ...line, ...lines])
}

/** Which colour is whose. */
export const legend = (names: readonly string[]): string =>
  element(
    'div',
    { class: 'legend' },
    names.map((name, i) => element('span', { style: `--key: ${colourOf(i)}` }, text(name))),
  )

const svg = (height: number, label: string, content: readonly string[]): string =>
  element('div', { class: 'wide' }, element('svg', { viewBox: `0 0 ${WIDTH} ${height}`, role: 'img', 'aria-label': label }, content))

/** A range with room at both ends. */
function padded(least: number, most: number): readonly [number, number] {
  const isOne = most - least <= 1e-12 * Math.max(Math.abs(least), Math.abs(most), 1e-12) // as good as one value
  const room = (isOne ? (Math.abs(most) > 1e-9 ? Math.abs(most) : 1) : most - least) * 0.06
  return [least - room, most + room]
}

/** Some five round numbers in a range. */
export function ticksOf(least: number, most: number): readonly number[] {
  const rough = (most - least) / 5
  if (!(rough > 0)) return [least]
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= rough)!
  const first = Math.ceil(least / step)
  return Array.from({ length: Math.floor(most / step) - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)))
}

const round = (value: number): number => Math.round(value * 10) / 10
const tidy = (value: number): string => String(Number(value.toPrecision(4)))
export const percent = (share: number): string => `${Math.round(share * 100)} %`
/** Columns for the names beside a chart. */
const roomFor = (lines: readonly { readonly name: string }[]): number => 24 + 7 * lines.reduce((most, { name }) => Math.max(most, shortened(name).length), 0)
const MOST = 28 // characters of a name beside a chart
const shortened = (name: string): string => (name.length > MOST ? `${name.slice(0, MOST - 1)}…` : name)
