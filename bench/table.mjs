// Tables that show each row as soon as it is known.

/** `columns` are [title, width]; the first is text, the others numbers. Gives a function that prints a row. */
export function createTable(columns, markdown) {
  const line = cells => {
    const padded = cells.map((cell, i) => (i === 0 ? cell.padEnd(columns[i][1]) : cell.padStart(columns[i][1])))
    console.log(markdown ? `| ${padded.join(' | ')} |` : padded.join('  '))
  }
  console.log()
  line(columns.map(([title]) => title))
  if (markdown) console.log(`|${columns.map(([, width], i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`)
  return line
}

export const seconds = value => `${value.toFixed(2)} s`
export const megabytes = bytes => `${Math.round(bytes / 1e6)} MB`
export const times = value => `${value.toFixed(2)}×`
export const median = values => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)]
