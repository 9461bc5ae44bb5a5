// Written by `npm run generate`. Do not edit.
import command from './command.ts'
import type { Engine } from './engine.ts'
import onnx from './onnx.ts'

/** Every engine by the name that suites use: the files of this folder. */
export const ENGINES: Readonly<Record<string, Engine>> = { command, onnx }
