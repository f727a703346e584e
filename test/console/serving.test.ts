// How the console's files leave the service: where they are, how long a browser keeps them, what a page may do.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import { buildConsole } from '../../console/build.ts'
import { consoleFile, readConsole } from '../../provisioning/server/console-files.ts'
import { assertProblem, type Service, startService } from '../provisioning/harness.ts'

const dist = join(import.meta.dirname, '../../console/dist')
const FIRST_LOAD_BYTES_MAX = 300 * 1024

describe('the console as it is served', () => {
  let service: Service
  before(async () => {
    await buildConsole()
    service = await startService({ sans: ['rollcall.example'] })
  })
  after(() => service[Symbol.asyncDispose]())
  const get = (path: string, headers: Record<string, string> = {}) =>
    service.call('GET', path, undefined, { token: null, headers })

  it('is where / leads, and its pages have addresses of their own', async () => {
    for (const path of ['/', '/console']) {
      const answer = await get(path)
      assert.equal(answer.status, 302)
      assert.equal(answer.headers['location'], '/console/')
    }
    const page = await get('/console/')
    assert.equal(page.status, 200)
    assert.match(page.text, /<div id="console">/)
    for (const path of [
      'devices',
      'devices/pump.1',
      'nothing/at/all',
      'admin.token',
      '..%2f..%2fadmin.token',
    ])
      assert.equal((await get(`/console/${path}`)).text, page.text, path)
  })

  it('asks anew for the page each time, and for what is named by its content never again', async () => {
    const page = await get('/console/')
    assert.equal(page.headers['cache-control'], 'no-cache')
    const again = await get('/console/', { 'if-none-match': page.headers['etag'] ?? '' })
    assert.equal(again.status, 304)
    const assets = [...page.text.matchAll(/(?:src|href)="(\/console\/assets\/[^"]+)"/g)].map(
      match => match[1]!,
    )
    assert.ok(assets.length >= 2)
    for (const asset of assets) {
      const { headers, status } = await get(asset)
      assert.equal(status, 200)
      assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable', asset)
      assert.equal(headers['x-content-type-options'], 'nosniff')
    }
    assertProblem(await get('/console/assets/none.js'), 404, 'route_unknown')
  })

  it('hands out the licences of what it is built with', async () => {
    const { headers, text } = await get('/console/licenses.txt')
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8')
    for (const name of ['react', 'react-dom', 'scheduler', 'uqr'])
      assert.match(text, new RegExp(`^${name}$`, 'm'))
    assert.match(text, /MIT License/)
  })

  it('lets a page run what this origin serves and nothing else', async () => {
    const { headers } = await get('/console/devices')
    const policy = headers['content-security-policy'] ?? ''
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/)
    assert.doesNotMatch(policy, /unsafe|https?:|\*/)
    assert.equal(headers['x-frame-options'], 'DENY')
    assert.equal(headers['referrer-policy'], 'no-referrer')
  })

  it('binds browsers to HTTPS for a name, but not for every server on localhost', async () => {
    const named = await get('/console/', { host: 'rollcall.example' })
    assert.equal(named.headers['strict-transport-security'], 'max-age=31536000')
    const local = await get('/console/', { host: 'localhost:8443' })
    assert.equal(local.headers['strict-transport-security'], undefined)
  })

  it('has no source from elsewhere, no code between its tags, and loads within 300 KiB', () => {
    const files = readConsole(dist)!
    const page = files.get('index.html')!.body('').bytes.toString()
    assert.doesNotMatch(page, /<script(?![^>]* src="\/console\/)/)
    assert.doesNotMatch(page, /(src|href)="(?!\/console\/)/)
    assert.doesNotMatch(page, / style=| on\w+=/)
    const first = [
      'index.html',
      ...[...page.matchAll(/"\/console\/(assets\/[^"]+)"/g)].map(match => match[1]!),
    ]
    const bytes = first.reduce((sum, path) => sum + gzipSync(readFileSync(join(dist, path))).length, 0)
    assert.ok(bytes <= FIRST_LOAD_BYTES_MAX, `${bytes} bytes`)
  })
})

it('a file is sent as it is, or compressed as the browser can read it', () => {
  const bytes = Buffer.from('a'.repeat(5_000))
  const file = consoleFile('assets/index-A1b2C3d4.js', bytes)
  assert.equal(file.immutable, true)
  assert.deepEqual(file.body(''), { bytes, encoding: null })
  const brotli = file.body('gzip, deflate, br')
  assert.equal(brotli.encoding, 'br')
  assert.deepEqual(brotliDecompressSync(brotli.bytes), bytes)
  assert.deepEqual(gunzipSync(file.body('gzip').bytes), bytes)
  assert.equal(consoleFile('index.html', bytes).immutable, false)
})

it('where nobody built it there is none, so that a page can say how', () => {
  const empty = mkdtempSync(join(tmpdir(), 'rollcall-console-'))
  try {
    assert.equal(readConsole(empty), null)
  } finally {
    rmSync(empty, { recursive: true })
  }
})
