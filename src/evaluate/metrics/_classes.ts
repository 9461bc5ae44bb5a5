import { MergeError } from '../../errors.ts'
import { type DataTensor, type TensorData, tensorOf } from '../data.ts'
import type { Rows } from '../engines/engine.ts'

/** Examples with the index of their class. */
export interface Labelled {
  readonly file: string
  /** All fields but the labels. */
  readonly inputs: ReadonlyMap<string, DataTensor>
  readonly labels: readonly number[]
}

export function readLabelled(data: TensorData, field: string): Labelled {
  const { data: values, shape } = tensorOf(data, field)
  const labels = Array.from(values, Number)
  if (shape.length !== 1)
    throw new MergeError(`"${field}" has the shape [${shape.join(',')}]; labels are one number a row`, { where: data.file, fix: 'name the field of the labels: `labels: …`' })
  const wrong = labels.findIndex(label => !Number.isInteger(label) || label < 0)
  if (wrong >= 0) throw new MergeError(`${labels[wrong]} is no label`, { where: `${data.file}: ${field}[${wrong}]`, fix: 'labels are whole numbers from 0' })
  for (const [name, tensor] of data.tensors) {
    if (tensor.shape[0] === labels.length || tensor.shape[0] === 1) continue
    throw new MergeError(`"${name}" has ${tensor.shape[0]} rows, and "${field}" has ${labels.length}`, { where: data.file, fix: 'give every row a label' })
  }
  return { file: data.file, inputs: new Map([...data.tensors].filter(([name]) => name !== field)), labels }
}

/** The class with the highest score of each row, the first of equals; of `among` if given. Throws for a label that is none of them. */
export function chooseClasses({ width, data }: Rows, { labels, file }: Labelled, among: readonly number[] | null): readonly number[] {
  const classes = among ?? Array.from({ length: width }, (_, i) => i)
  const allowed = new Set(classes)
  const tooHigh = classes.find(c => c >= width)
  if (tooHigh !== undefined) throw new MergeError(`\`among\` names the class ${tooHigh}, and the model knows ${width}`, { where: file, fix: `name classes from 0 to ${width - 1}` })
  return labels.map((label, row) => {
    if (!allowed.has(label)) {
      const range = among ? `one of ${among.join(', ')}` : `from 0 to ${width - 1}`
      throw new MergeError(`the label ${label} is out of range: the model’s classes are ${range}`, { where: `${file}: row ${row}`, fix: 'use data and head of one task' })
    }
    let best = classes[0]!
    for (const c of classes) if (data[row * width + c]! > data[row * width + best]!) best = c
    return best
  })
}
