// `--bus nats://…`: what is refused, and that TLS, credentials and passwords from files lead to a connection.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { connect } from '@nats-io/transport-node'
import { isPrivate, readBusAddress } from '../../../broker/bus/address.ts'
import { scratch } from '../../e2e/system.ts'
import { createAuthority, usage } from '../../harness/authority.ts'
import { startNats } from '../../harness/nats.ts'

describe('the address of the bus', () => {
  it('is TLS off loopback unless it is named', () => {
    assert.equal(readBusAddress('nats://127.0.0.1').tls, null)
    assert.deepEqual(readBusAddress('nats://127.0.0.1').servers, ['127.0.0.1:4222'])
    assert.deepEqual(readBusAddress('nats://bus.example').tls, {})
    assert.deepEqual(readBusAddress('tls://localhost').tls, {})
    assert.deepEqual(readBusAddress('nats://localhost?server=bus.example:4223').tls, {})
    assert.equal(readBusAddress('nats://bus.example?tls=disable').tls, null)
  })

  const refused: [text: string, why: RegExp][] = [
    ['localhost:4222', /nats:\/\/host:port/],
    ['http://localhost', /nats:\/\/host:port/],
    ['nats://a:geheim@localhost', /no password/],
    ['nats://localhost?sslmode=off', /unknown parameter sslmode/],
    ['nats://localhost?tls=maybe', /verify-full or disable/],
    ['nats://localhost?tls=verify-full&cert=x', /both cert and key/],
    ['nats://localhost?server=/', /host:port/],
  ]
  for (const [text, why] of refused)
    it(`refuses ${text.replace('geheim', '…')}, and says why without the text`, () => {
      assert.throws(
        () => readBusAddress(text),
        (error: Error) => why.test(error.message) && !error.message.includes('geheim'),
      )
    })

  it('takes a secret of root that a group reads, and of nobody else', () => {
    const cases = [
      [0o100600, 1000, true],
      [0o100640, 1000, false],
      [0o100604, 1000, false],
      [0o100440, 0, true],
      [0o100460, 0, false],
      [0o100444, 0, false],
    ] as const
    for (const [mode, uid, expected] of cases)
      assert.equal(isPrivate({ mode, uid }), expected, `${mode.toString(8)} of ${uid}`)
  })

  it('refuses a password file that others can read, and one without a user', () => {
    using context = scratch()
    writeFileSync(context.at('open'), 'x', { mode: 0o644 })
    writeFileSync(context.at('own'), 'x', { mode: 0o600 })
    assert.throws(() => readBusAddress(`nats://u@localhost?passwordfile=${context.at('open')}`), /0600/)
    assert.throws(() => readBusAddress(`nats://localhost?passwordfile=${context.at('own')}`), /name a user/)
  })

  it('connects by TLS with a verified server and a password from a file, and by nothing less', async () => {
    using context = scratch()
    const root = await createAuthority()
    const { certificate, key } = await root.issue({
      name: 'localhost',
      usages: [usage.serverAuth],
    })
    for (const [name, text] of Object.entries({
      'server.crt': certificate,
      'server.key': key,
      'ca.crt': root.certificate,
      password: 'geheim\n',
      wrong: 'x',
    }))
      writeFileSync(context.at(name), text, { mode: 0o600 })
    const file = (name: string) => JSON.stringify(context.at(name))
    await using server = await startNats(
      `tls { cert_file: ${file('server.crt')}, key_file: ${file('server.key')} }\nauthorization { user: node, password: geheim }`,
    )
    const at = `nats://node@localhost:${server.port}`
    const open = (text: string) => connect({ ...readBusAddress(text), reconnect: false })
    const connection = await open(
      `${at}?tls=verify-full&ca=${context.at('ca.crt')}&passwordfile=${context.at('password')}`,
    )
    await connection.flush()
    await connection.close()
    await assert.rejects(open(`${at}?tls=verify-full&passwordfile=${context.at('password')}`))
    await assert.rejects(
      open(`${at}?tls=verify-full&ca=${context.at('ca.crt')}&passwordfile=${context.at('wrong')}`),
    )
    await using plain = await startNats()
    await assert.rejects(
      open(`nats://localhost:${plain.port}?tls=verify-full&ca=${context.at('ca.crt')}`),
      /tls/,
    )
  })
})
