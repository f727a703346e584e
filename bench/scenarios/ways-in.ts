// What an enrollment by a TPM and by ACME costs the service beside one by a one-time token, in the same run. Run by hand:
// node bench/scenarios/ways-in.ts [enrollments each round]
// Keys on P-256, over kept connections; the ways take turns. The figure is the CPU of all threads of the service. The TPM is a model whose endorsement key is
// on record; by ACME it is a nonce, an account, an order, its end and the certificate.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSoftwareTpm } from '../../device-sim/enrollment/software-tpm.ts'
import { pemBlocks } from '../../pki/pem.ts'
import { bindingOf, jwkOf, newKey, signed } from '../../test/provisioning/acme/acme-client.ts'
import { cpuMicros } from '../cpu.ts'
import { makeRequests } from '../requests.ts'

const count = Number(process.argv[2] ?? 200)
const ROUNDS = 5
const CALLERS = 8
const ways = ['token', 'TPM', 'ACME'] as const
type Way = (typeof ways)[number]
type Headers = Record<string, string>
// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
type Answer = { headers: NodeJS.Dict<string | string[]>; body: any }

const data = mkdtempSync(join(tmpdir(), 'rollcall-bench-ways-'))
const fixture = new URL('../../test/provisioning/fixtures/serving.ts', import.meta.url).pathname
const service = spawn(process.execPath, [fixture, data, '50'], { stdio: ['ignore', 'pipe', 'inherit'] })
try {
  const [line] = (await once(service.stdout, 'data')) as [Buffer]
  const url = line.toString().trim()
  const agent = new Agent({ keepAlive: true, maxSockets: CALLERS, ca: readFileSync(join(data, 'ca.crt')) })
  const json = { 'content-type': 'application/json' }
  const operator = {
    ...json,
    authorization: `Bearer ${readFileSync(join(data, 'admin.token'), 'utf8').trim()}`,
  }

  function ask(method: string, path: string, body: string | undefined, headers: Headers): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(`${url}${path}`, { method, agent, headers })
      outgoing.once('error', reject)
      outgoing.once('response', async response => {
        const chunks: Buffer[] = []
        for await (const chunk of response) chunks.push(chunk as Buffer)
        const text = Buffer.concat(chunks).toString()
        const { statusCode = 0, headers: given } = response
        if (statusCode >= 300) return reject(new Error(`${path} answered ${statusCode}: ${text}`))
        resolve({
          headers: given,
          body: given['content-type']?.includes('json') && text ? JSON.parse(text) : null,
        })
      })
      outgoing.end(body)
    })
  }

  async function tokenFor(deviceId: string): Promise<Answer['body']> {
    await ask('POST', '/v1/devices', JSON.stringify({ id: deviceId }), operator)
    const order = JSON.stringify({ deviceId, acme: true })
    return (await ask('POST', '/v1/enrollment-tokens', order, operator)).body
  }

  /** Everything that operator and device do beforehand is done here; gives what is measured. */
  async function prepared(way: Way, deviceId: string, csr: string): Promise<() => Promise<void>> {
    const { token, acme } = await tokenFor(deviceId)
    if (way === 'token') {
      const headers = { ...json, authorization: `Bearer ${token}` }
      return async () => void (await ask('POST', '/v1/enroll', JSON.stringify({ csr }), headers))
    }
    return way === 'TPM' ? byTpm(deviceId) : byAcme(acme, csr)
  }

  async function byTpm(deviceId: string): Promise<() => Promise<void>> {
    const tpm = createSoftwareTpm()
    const key = tpm.createKey()
    const spki = tpm.endorsement.publicKey.export({ type: 'spki', format: 'der' })
    const endorsementKey = createHash('sha256').update(spki).digest('hex')
    await ask('PUT', `/v1/devices/${deviceId}/endorsement-key`, JSON.stringify({ endorsementKey }), operator)
    const areas = {
      key: key.area.toString('base64'),
      endorsementKey: tpm.endorsement.area.toString('base64'),
    }
    return async () => {
      const { body } = await ask('POST', '/v1/enroll/tpm', JSON.stringify(areas), json)
      const secret = tpm.activate(key, Buffer.from(body.credential, 'base64')).toString('base64')
      await ask('POST', `/v1/enroll/tpm/${body.session}`, JSON.stringify({ secret }), json)
    }
  }

  function byAcme(binding: { kid: string; hmacKey: string }, csr: string): () => Promise<void> {
    const key = newKey()
    const bound = bindingOf(binding, `${url}/acme/new-account`, jwkOf(key))
    const der = pemBlocks(csr, 'CERTIFICATE REQUEST')[0]!.toString('base64url')
    return async () => {
      let nonce = (await ask('HEAD', '/acme/new-nonce', undefined, {})).headers['replay-nonce']
      const post = async (path: string, by: object, payload: unknown) => {
        const jws = await signed(key, { ...by, nonce, url: url + path }, payload)
        const answer = await ask('POST', path, JSON.stringify(jws), {
          'content-type': 'application/jose+json',
        })
        nonce = answer.headers['replay-nonce']
        return answer
      }
      const made = await post('/acme/new-account', { jwk: jwkOf(key) }, { externalAccountBinding: bound })
      const by = { kid: made.headers.location }
      const order = await post('/acme/new-order', by, { identifiers: [{ type: 'dns', value: 'gateway' }] })
      const ended = await post(order.body.finalize.slice(url.length), by, { csr: der })
      await post(ended.body.certificate.slice(url.length), by, null)
    }
  }

  const spent = new Map<Way, number[]>(ways.map(way => [way, []]))
  // The first round warms up, and does not count.
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const way of ways) {
      const fleet = await makeRequests(`${way}-${round}`, count)
      const enrollments = await Promise.all(fleet.map(({ deviceId, csr }) => prepared(way, deviceId, csr)))
      const before = cpuMicros(service.pid ?? 0)
      await each(enrollments)
      if (round > 0) spent.get(way)!.push((cpuMicros(service.pid ?? 0) - before) / count)
    }
  }
  const token = median(spent.get('token')!)
  for (const way of ways) {
    const all = spent.get(way)!
    const range = `${Math.round(Math.min(...all))}–${Math.round(Math.max(...all))}`
    console.log(
      `${way}: ${Math.round(median(all))} µs of CPU (${range}), ${(median(all) / token).toFixed(2)} × of a token`,
    )
  }
} finally {
  const ended = service.exitCode === null ? once(service, 'exit') : null
  service.kill('SIGKILL')
  await ended
  rmSync(data, { recursive: true, force: true })
}

async function each(enrollments: readonly (() => Promise<void>)[]): Promise<void> {
  const waiting = enrollments.values()
  const caller = async () => {
    for (const enroll of waiting) await enroll()
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}
