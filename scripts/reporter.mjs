// The last line of a test run, for people and machines: `N passed, N failed` (and how many were skipped, if any).
export default class Tally {
  onTestRunEnd(modules, errors) {
    const tally = { passed: 0, failed: errors.length, skipped: 0 }
    for (const module of modules) {
      const tests = [...module.children.allTests()]
      for (const test of tests) tally[test.result().state] = (tally[test.result().state] ?? 0) + 1
      if (!module.ok() && !tests.some(test => test.result().state === 'failed')) tally.failed++ // the file itself does not load
    }
    process.stdout.write(`\n${tally.passed} passed, ${tally.failed} failed${tally.skipped > 0 ? `, ${tally.skipped} skipped` : ''}\n`)
  }
}
