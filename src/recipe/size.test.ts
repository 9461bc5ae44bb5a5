import { expect, test } from 'vitest'
import { parseSize } from './size.ts'

test.each([
  ['5GB', 5_000_000_000],
  ['500 MB', 500_000_000],
  ['1.5GiB', 1_610_612_736],
  ['.5g', 500_000_000],
  ['2Ki', 2048],
  ['123', 123],
  ['7b', 7],
])('%s is %i bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes))

test.each(['', 'GB', '5 gigs', '-1GB', '1e9', '9999999TB', '5iB', 'constructor'])('"%s" is no size', text => expect(parseSize(text)).toBe(null))
