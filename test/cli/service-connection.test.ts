// Where a command finds its service: flags, then environment, then the data directory.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { readEndpoints, removeEndpoints, writeEndpoints } from '../../cli/data-directory.ts'
import { UsageError } from '../../cli/errors.ts'
import { findService } from '../../cli/service-connection.ts'
import { temporaryDirectory } from './running.ts'

const flags = { api: 'https://flag:1', tokenFile: 'flag.token', ca: 'flag.crt' }
const environment = {
  ROLLCALL_API: 'https://env:1',
  ROLLCALL_TOKEN_FILE: 'env.token',
  ROLLCALL_CA: 'env.crt',
}

describe('finding the service', () => {
  it('takes flags before the environment, and the environment before the data directory', () => {
    assert.equal(findService({ ...flags, data: 'd' }, environment).api, 'https://flag:1')
    const fromEnvironment = findService({ data: 'd' }, environment)
    assert.equal(fromEnvironment.api, 'https://env:1')
    assert.equal(fromEnvironment.notes.length, 3)
    assert.deepEqual(findService({ data: 'd' }, {}), {
      api: 'https://127.0.0.1:8443',
      tokenFile: join('d', 'admin.token'),
      ca: join('d', 'ca.crt'),
      notes: [],
    })
  })

  it('takes each of the three by itself, and says nothing where nothing is passed over', () => {
    const found = findService({ api: 'https://flag:1', data: 'd' }, {})
    assert.deepEqual(found, {
      api: 'https://flag:1',
      tokenFile: join('d', 'admin.token'),
      ca: join('d', 'ca.crt'),
      notes: [],
    })
    assert.deepEqual(findService({}, environment).notes, [])
  })

  it('takes the certificate of an operator in place of a token, whole or not at all', () => {
    const identity = { certificate: 'a.crt', key: 'a.key' }
    const { api, ca } = { api: 'https://env:1', ca: join('d', 'ca.crt') }
    assert.deepEqual(findService({ ...identity, api, data: 'd' }, {}), { api, ca, notes: [], ...identity })
    const set = { ROLLCALL_CERTIFICATE: 'a.crt', ROLLCALL_KEY: 'a.key' }
    assert.deepEqual(findService({ api, data: 'd' }, set), { api, ca, notes: [], ...identity })
    assert.equal('tokenFile' in findService({ api, data: 'd', tokenFile: 't' }, set), true)
    assert.throws(() => findService({ api, data: 'd', key: 'a.key' }, {}), /go together/)
    assert.throws(
      () => findService({ api, data: 'd', tokenFile: 't', ...identity }, {}),
      /exclude each other/,
    )
  })

  it('takes an empty variable for one that is not set', () => {
    assert.equal(findService({ data: 'd' }, { ROLLCALL_API: '' }).api, 'https://127.0.0.1:8443')
  })

  it('names everything that is missing at once', () => {
    assert.throws(
      () => findService({ ca: 'x' }, {}),
      (error: unknown) =>
        error instanceof UsageError &&
        /--api URL/.test(error.message) &&
        /--token-file FILE/.test(error.message) &&
        !/--ca FILE/.test(error.message) &&
        /--data DIR/.test(error.hint),
    )
  })

  it('finds the ports of a running `up` in the data directory, and the standard one otherwise', () => {
    using data = temporaryDirectory()
    const running = { mqtts: 'mqtts://127.0.0.1:1', api: 'https://127.0.0.1:2', admin: 'http://127.0.0.1:3' }
    writeEndpoints(data.path, running)
    assert.deepEqual(readEndpoints(data.path), running)
    assert.equal(findService({ data: data.path }, {}).api, running.api)
    removeEndpoints(data.path)
    assert.equal(findService({ data: data.path }, {}).api, 'https://127.0.0.1:8443')
    for (const odd of ['', '[]', 'null', '{"api":7}', '{"api":"https://x"}']) {
      writeFileSync(join(data.path, 'endpoints.json'), odd)
      assert.equal(readEndpoints(data.path), null, odd)
    }
  })
})
