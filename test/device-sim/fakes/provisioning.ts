// A stand-in for the provisioning service: the endpoints the simulator uses, over real HTTPS, on a roll in memory.
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Authority } from './authority.ts'

export type Roll = {
  devices: Map<string, { id: string; state: string }>
  certificates: Map<string, { fingerprint: string; deviceId: string; status: string; notAfter: Date }>
}

export const token = 'test-token'

export function createRoll(): Roll {
  return { devices: new Map(), certificates: new Map() }
}

export type Provisioning = Awaited<ReturnType<typeof startProvisioning>>

/** `busy` answers that many of the next requests with 429 and Retry-After: 0. */
export async function startProvisioning(authority: Authority, roll: Roll) {
  const state = { busy: 0, calls: [] as string[] }
  const server = createServer(
    { key: authority.serverKey, cert: authority.serverChain },
    (request, response) => {
      const answer = (status: number, body: unknown, headers: Record<string, string> = {}): void => {
        const type = status < 400 ? 'application/json' : 'application/problem+json'
        response.writeHead(status, { 'content-type': type, ...headers }).end(JSON.stringify(body))
      }
      state.calls.push(`${request.method} ${request.url}`)
      if (state.busy > 0) {
        state.busy--
        request.resume()
        answer(429, problem('rate_limited'), { 'retry-after': '0' })
        return
      }
      if (request.headers.authorization !== `Bearer ${token}`) {
        answer(401, problem('unauthenticated'))
        return
      }
      readJson(request)
        .then(body => route(request.method ?? '', request.url ?? '', body))
        .then(([status, body]) => answer(status, body))
        .catch(error => answer(500, { ...problem('internal'), detail: String(error) }))
    },
  )

  async function route(
    method: string,
    path: string,
    body: Record<string, unknown>,
  ): Promise<[number, unknown]> {
    const [, v1, noun, id = '', verb] = path.split('/')
    if (v1 !== 'v1') return [404, problem('not_found')]
    if (noun === 'devices' && method === 'POST' && id === '') return addDevice(body['id'] as string)
    const listed = /^certificates\?deviceId=([^&]+)/.exec(noun ?? '')?.[1]
    if (listed !== undefined)
      return [200, { items: [...roll.certificates.values()].filter(({ deviceId }) => deviceId === listed) }]
    if (noun === 'certificates') {
      const certificate = roll.certificates.get(id)
      if (!certificate) return [404, problem('certificate_unknown')]
      if (verb === 'revoke') certificate.status = 'revoked'
      return [200, { ...certificate, epoch: 1 }]
    }
    const device = roll.devices.get(id)
    if (!device) return [404, problem('device_unknown')]
    if (verb === undefined) return [200, device]
    if (verb === 'certificates') return issue(id, body['csr'] as string)
    if (verb === 'canaries') return canary(id, body['csr'] as string, body['kind'] as string)
    if (verb === 'suspend') device.state = 'suspended'
    if (verb === 'activate') device.state = 'active'
    if (verb === 'decommission') device.state = 'decommissioned'
    return [200, { deviceId: id, state: device.state, epoch: 1 }]
  }

  function addDevice(id: string): [number, unknown] {
    if (roll.devices.has(id)) return [409, problem('device_exists')]
    const device = { id, state: 'registered' }
    roll.devices.set(id, device)
    return [201, device]
  }

  async function issue(deviceId: string, csr: string): Promise<[number, unknown]> {
    const { pem, fingerprint } = await authority.issue(csr, deviceId)
    const notAfter = new Date(Date.now() + 90 * 86_400_000)
    roll.certificates.set(fingerprint, { fingerprint, deviceId, status: 'issued', notAfter })
    return [201, { fingerprint, certificate: pem, chain: authority.chain, ca: authority.rootPem }]
  }

  async function canary(deviceId: string, csr: string, kind: string): Promise<[number, unknown]> {
    const expired = new Date(Date.now() - 3_600_000)
    const { pem, fingerprint } = await authority.issue(
      csr,
      deviceId,
      kind === 'expired' ? expired : undefined,
    )
    if (kind === 'expired') {
      roll.certificates.set(fingerprint, { fingerprint, deviceId, status: 'issued', notAfter: expired })
    }
    return [201, { kind, fingerprint, certificate: pem, chain: authority.chain, ca: authority.rootPem }]
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    state,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function problem(reason: string) {
  return { type: `urn:rollcall:problem:${reason}`, title: reason, reason, hint: `about ${reason}` }
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  const text = Buffer.concat(parts).toString('utf8')
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
}
