// Compiled code that services keep is code that they run: it is taken from nowhere where another user may write.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, rmdirSync, rmSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { it } from 'node:test'
import { codeCacheVariable } from '../../../cli/service/code-cache.ts'
import { temporaryDirectory } from '../running.ts'

const module = new URL('../../../cli/service/code-cache.ts', import.meta.url).href

/** Where a process keeps its compiled code once it was given these arguments; empty where it keeps none. */
function cacheUsed(args: readonly string[]): string {
  const { NODE_COMPILE_CACHE: _, ...env } = process.env
  const script = `import { useCodeCache } from ${JSON.stringify(module)}
    import { getCompileCacheDir } from 'node:module'
    useCodeCache(${JSON.stringify(args)})
    process.stdout.write(getCompileCacheDir() ?? '')`
  return execFileSync(process.execPath, ['--input-type=module', '-e', script], { env, encoding: 'utf8' })
}

it('a start takes the compiled code of the last one from its data directory', () => {
  using data = temporaryDirectory()
  chmodSync(data.path, 0o700)
  const cache = join(data.path, 'code-cache')
  assert.equal(cacheUsed(['--data', data.path]), '', 'there was no start before')
  mkdirSync(cache, { mode: 0o700 })
  for (const args of [
    ['--data', data.path],
    ['--host', '::1', `--data=${data.path}`],
  ])
    assert.ok(cacheUsed(args).startsWith(cache), args.join(' '))
})

it('takes none where others may write, where the arguments name no one directory, or where it cannot be read', () => {
  using data = temporaryDirectory()
  const cache = join(data.path, 'code-cache')
  chmodSync(data.path, 0o700)
  mkdirSync(cache, { mode: 0o700 })
  for (const args of [[], ['--data'], ['--data', data.path, '--data', data.path], ['--data', '/dev/null/x']])
    assert.equal(cacheUsed(args), '', args.join(' '))
  chmodSync(cache, 0o777)
  assert.equal(cacheUsed(['--data', data.path]), '')
  chmodSync(cache, 0o700)
  chmodSync(data.path, 0o777)
  assert.equal(cacheUsed(['--data', data.path]), '')
})

it('takes none, and tells services of none, that is a link or that another user owns', () => {
  using data = temporaryDirectory()
  const cache = join(data.path, 'code-cache')
  const elsewhere = join(data.path, 'elsewhere')
  chmodSync(data.path, 0o700)
  mkdirSync(elsewhere, { mode: 0o700 })
  symlinkSync(elsewhere, cache)
  const isRefused = () => {
    assert.equal(cacheUsed(['--data', data.path]), '')
    withoutVariable(() => assert.deepEqual(codeCacheVariable(data.path), {}))
  }
  isRefused()
  if (process.geteuid?.() !== 0) return // nobody else can give files away
  rmSync(cache)
  mkdirSync(cache, { mode: 0o700 })
  chownSync(cache, 65_534, 65_534)
  isRefused()
  rmdirSync(cache)
  chownSync(data.path, 65_534, 65_534)
  isRefused()
})

function withoutVariable(work: () => void): void {
  const before = process.env['NODE_COMPILE_CACHE']
  try {
    delete process.env['NODE_COMPILE_CACHE']
    work()
  } finally {
    if (before === undefined) delete process.env['NODE_COMPILE_CACHE']
    else process.env['NODE_COMPILE_CACHE'] = before
  }
}

it('services are told the same directory, unless a variable names another', () => {
  using data = temporaryDirectory()
  withoutVariable(() => {
    assert.deepEqual(codeCacheVariable(data.path), { NODE_COMPILE_CACHE: resolve(data.path, 'code-cache') })
    process.env['NODE_COMPILE_CACHE'] = '/elsewhere'
    assert.deepEqual(codeCacheVariable(data.path), {})
  })
})
