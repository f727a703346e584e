// Compiled code that rollcall-sim keeps between runs is code that it runs: it lies where nobody else may write.
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, it } from 'node:test'
import { keepCompiledCode } from '../../device-sim/package/code-cache.ts'

const directory = mkdtempSync(join(tmpdir(), 'rollcall-code-'))
after(() => rmSync(directory, { recursive: true }))

it('compiled code is kept in a directory of the user alone', () => {
  const env: NodeJS.ProcessEnv = { XDG_CACHE_HOME: join(directory, 'own') }
  keepCompiledCode(env)
  assert.equal(env['NODE_COMPILE_CACHE'], join(directory, 'own', 'rollcall-sim'))
  assert.equal(statSync(env['NODE_COMPILE_CACHE']).mode & 0o777, 0o700)
})

it('is not kept where others may write, where no directory can be made, or where Node is told otherwise', () => {
  const open = join(directory, 'open', 'rollcall-sim')
  mkdirSync(open, { recursive: true })
  chmodSync(open, 0o777)
  for (const env of [
    { XDG_CACHE_HOME: join(directory, 'open') },
    { XDG_CACHE_HOME: '/dev/null' },
    { XDG_CACHE_HOME: join(directory, 'own'), NODE_DISABLE_COMPILE_CACHE: '1' },
  ]) {
    const given: NodeJS.ProcessEnv = { ...env }
    keepCompiledCode(given)
    assert.deepEqual(given, env)
  }
  const set = { NODE_COMPILE_CACHE: join(directory, 'other') }
  keepCompiledCode(set)
  assert.deepEqual(set, { NODE_COMPILE_CACHE: join(directory, 'other') })
})
