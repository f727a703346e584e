// The lock of a data directory: one holder, and none once the holder is gone, however it went.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { takeLock } from '../../db/process-lock.ts'
import { repository, temporaryDirectory } from '../cli/running.ts'

const lockModule = pathToFileURL(join(repository, 'db', 'process-lock.ts')).href

/** Another process that holds the lock without keeping any reference to it, and runs the garbage collector. */
async function holder(file: string) {
  const script = `const { takeLock } = await import(${JSON.stringify(lockModule)})
    await takeLock(${JSON.stringify(file)})
    gc(); await new Promise(setImmediate); gc()
    console.log('held'); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise(resolve => child.stdout.once('data', resolve))
  const ended = new Promise(resolve => child.once('exit', resolve))
  return {
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

describe('the lock of a data directory', () => {
  it('is held by one process at a time, and falls when that one is killed', async () => {
    using directory = temporaryDirectory()
    const file = join(directory.path, 'job.lock')
    const other = await holder(file)
    assert.equal(await takeLock(file), null)
    const waiting = takeLock(file, 20_000)
    await other.kill()
    const lock = await waiting
    assert.ok(lock)
    lock.release()
    const again = await takeLock(file)
    assert.ok(again)
    again.release()
  })

  it('fails where the file cannot be made', async () => {
    await assert.rejects(takeLock('/nonexistent/job.lock'))
  })
})
