import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    reporters: ['default', './scripts/reporter.mjs'],
    testTimeout: 120_000, // one core of a slow machine
    hookTimeout: 120_000,
  },
})
