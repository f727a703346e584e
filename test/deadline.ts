// Loaded into the process of every test file. A test that leaves something open would keep its process, and with it the whole
// run, waiting for ever: the runner's own timeout ends tests, not processes.
const FILE_TIMEOUT_MS = 1_200_000

if (process.env['NODE_TEST_CONTEXT'] !== undefined) {
  setTimeout(() => {
    const open = [...new Set(process.getActiveResourcesInfo())].join(', ')
    process.stderr.write(
      `${process.argv[1]} did not end within ${FILE_TIMEOUT_MS / 1_000} s; still open: ${open}\n`,
    )
    process.exit(1)
  }, FILE_TIMEOUT_MS).unref()
}
