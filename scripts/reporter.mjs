// The last line of a test run, for people and machines: `N passed, N failed`; how many were skipped, if any, stands above it.
export default class Tally {
  onTestRunEnd(modules, errors) {
    const tally = { passed: 0, failed: errors.length, skipped: 0 }
    for (const module of modules) {
      const tests = [...module.children.allTests()]
      for (const test of tests) tally[test.result().state] = (tally[test.result().state] ?? 0) + 1
      if (!module.ok() && !tests.some(test => test.result().state === 'failed')) tally.failed++ // the file itself does not load
    }
    const skipped = tally.skipped > 0 ? `${tally.skipped} skipped, each with its reason in its name\n` : ''
    process.stdout.write(`\n${skipped}${tally.passed} passed, ${tally.failed} failed\n`)
  }
}
