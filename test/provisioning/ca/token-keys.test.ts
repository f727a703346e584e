// The issuing key in a PKCS #11 token (SoftHSM): made there, used there, and what happens where it cannot be.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { CaKeyType } from '../../../provisioning/ca/keys.ts'
import { openssl, type Service, startService, temporaryDirectory } from '../harness.ts'
import { crlText, fetchCrl, relyingParty } from '../revocation/status.ts'

const module = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so'].find(
  existsSync,
)

describe('an issuing key in a token', () => {
  const world = temporaryDirectory()
  const at = (name: string) => join(world.path, name)
  const token = { module: module ?? '', token: 'rollcall', pinFile: at('pin') }
  const configuration = process.env['SOFTHSM2_CONF']
  before(() => {
    mkdirSync(at('tokens'))
    writeFileSync(at('conf'), `directories.tokendir = ${at('tokens')}\nobjectstore.backend = file\n`)
    process.env['SOFTHSM2_CONF'] = at('conf')
    writeFileSync(at('pin'), '87654321\n', { mode: 0o600 })
    const init = [
      '--init-token',
      '--free',
      '--label',
      'rollcall',
      '--so-pin',
      '12345678',
      '--pin',
      '87654321',
    ]
    execFileSync('softhsm2-util', init, { stdio: 'pipe' })
  })
  after(() => {
    if (configuration === undefined) delete process.env['SOFTHSM2_CONF']
    else process.env['SOFTHSM2_CONF'] = configuration
    world[Symbol.dispose]()
  })

  function verifies(
    service: Service,
    { certificate, chain }: { certificate: string; chain: string[] },
  ): void {
    using party = relyingParty(service)
    const flags = ['-CAfile', party.file('ca', service.ca), '-untrusted', party.file('chain', chain.join(''))]
    assert.match(openssl(['verify', ...flags, party.file('leaf', certificate)]), /OK/)
  }

  for (const type of ['p256', 'rsa'] as const satisfies CaKeyType[])
    it(`of type ${type} signs certificates, CRLs and the OCSP responder, and is in no file`, async () => {
      const data = at(type)
      const keyTypes = { root: 'p256', issuing: type } as const
      {
        await using service = await startService({ data, token, keyTypes })
        verifies(service, await service.enroll('pump-1'))
      }
      assert.match(
        readFileSync(join(data, 'keys', 'issuing.key'), 'utf8'),
        /^pkcs11:token=rollcall;id=(%..){8};/,
      )
      assert.match(readFileSync(join(data, 'keys', 'root.key'), 'utf8'), /PRIVATE KEY/)
      await using service = await startService({ data, token, keyTypes })
      using party = relyingParty(service)
      const issued = await service.enroll('pump-2')
      verifies(service, issued)
      await service.call('POST', `/v1/certificates/${issued.fingerprint}/revoke`, {})
      await service.running.makeCrls()
      assert.match(crlText(await fetchCrl(issued.certificate)), /Serial Number/)
      assert.match((await party.verify(issued)).output, /certificate revoked/)
    })

  it('is where a rotation leads from a key in a file, and signs many at once', async () => {
    const data = at('moved')
    await startService({ data }).then(service => service[Symbol.asyncDispose]())
    await using service = await startService({ data, token })
    assert.equal((await service.call('POST', '/v1/ca/rotate', {})).status, 200)
    const issued = await Promise.all(
      Array.from({ length: 20 }, (_, index) => service.enroll(`pump-${index}`)),
    )
    for (const one of issued) verifies(service, one)
    const [current] = (await service.call('GET', '/v1/ca')).body.issuing
    assert.ok(issued.every(({ issuerId }) => issuerId === current.id))
  })

  it('keeps a start from going on without its token, with a wrong PIN, or without the settings', async () => {
    const data = at('p256')
    writeFileSync(at('wrong'), '11111111')
    const refused = (settings: typeof token | null, says: RegExp) =>
      assert.rejects(startService({ data, ...(settings === null ? {} : { token: settings }) }), says)
    await refused(null, /issuing\.key points at a token: .*ROLLCALL_PKCS11_MODULE/)
    await refused({ ...token, pinFile: at('none') }, /PIN file .*none cannot be read \(ENOENT\)/)
    await refused({ ...token, token: 'elsewhere' }, /token elsewhere does not do it/)
    await refused({ ...token, module: '/nowhere.so' }, /does not do it.*check module/)
    const wrong = await startService({ data, token: { ...token, pinFile: at('wrong') } }).catch(String)
    assert.match(String(wrong), /CKR_PIN_INCORRECT .*: check .*PIN file/)
    assert.doesNotMatch(String(wrong), /11111111/)
  })

  it('cannot be of a type that tokens do not make', async () => {
    const keyTypes = { root: 'p256', issuing: 'ed25519' } as const
    await assert.rejects(startService({ data: at('ed'), token, keyTypes }), /choose p256 or rsa/)
  })
})
