import type { TensorData } from '../data.ts'
import { optional, preset } from '../options.ts'
import { chooseClasses, type Labelled, readLabelled } from './_classes.ts'
import { defineMetric } from './metric.ts'

export default defineMetric({
  summary: 'Share of examples whose highest score is that of their class.',
  better: 'higher',
  unit: '%',
  data: ['tensors'],
  options: {
    labels: preset('text', 'The field of the data that holds the index of the class.', 'labels'),
    among: optional('numbers', 'Only these classes may be answered.'),
  },
  uses: () => 'classify',
  read: (data, { labels }): Labelled => readLabelled(data as TensorData, labels), // `data` above allows nothing else
  async count(runner, examples, { among }) {
    const chosen = chooseClasses(await runner.classify(examples.inputs), examples, among)
    return { over: examples.labels.map((label, i) => (label === chosen[i] ? 1 : 0)), under: examples.labels.map(() => 1) }
  },
})
