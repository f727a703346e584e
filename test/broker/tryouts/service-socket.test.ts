// The socket by which the service has something tried out: for its owner alone from the moment that it is there.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Tryouts } from '../../../broker/mqtt/tryouts.ts'
import { openServiceSocket } from '../../../broker/tryouts/service-socket.ts'

test('it is for its owner alone from the moment that it is there, whatever the process makes files with', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'rollcall-socket-'))
  const file = join(directory, 'broker.sock')
  const tryouts: Tryouts = { publish: async () => ({ receivers: 1 }), subscribe: () => ({ stop() {} }) }
  const before = process.umask(0)
  const socket = openServiceSocket({ file, tryouts, onFailed: error => assert.fail(String(error)) })
  try {
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal(process.umask(), 0)
  } finally {
    process.umask(before)
    socket.close()
    rmSync(directory, { recursive: true })
  }
})
