// What an enrollment by CMP costs the service beside one by EST, in the same run. Run by hand: node bench/scenarios/cmp.ts [certificates each round]
// Both with a one-time token for a new device of a group and a key on P-256, over kept connections; the ways take turns. The figure is the CPU of all threads
// of the service. CMP by PBM with 500 rounds, as openssl takes, with implicit confirmation, and with a certConf besides.
import { spawn } from 'node:child_process'
import { hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bodyTypes } from '../../provisioning/cmp/message-reader.ts'
import { octetString, sequence } from '../../provisioning/x509/der.ts'
import * as cmp from '../../test/provisioning/cmp/cmp-messages.ts'
import { cpuMicros, loopMicros } from '../cpu.ts'
import { makeRequests } from '../requests.ts'

const count = Number(process.argv[2] ?? 500)
const ROUNDS = 5
const CALLERS = 8
const entry = new URL('../../cli/main.ts', import.meta.url).pathname
type Way = 'EST simpleenroll' | 'CMP ir' | 'CMP ir and certConf'
type Token = { token: string; reference: string; secret: string }

const data = mkdtempSync(join(tmpdir(), 'rollcall-bench-cmp-'))
const service = spawn(
  process.execPath,
  [entry, 'provisioning', '--data', data, '--api-port', '0', '--admin-port', '0', '--status-port', '0'],
  { stdio: ['ignore', 'ignore', 'pipe'] },
)
try {
  const url = await new Promise<string>((resolve, reject) => {
    let log = ''
    service.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (log.length < 100_000) log += text
      const found = /accepts at (https:\S+),/.exec(log)
      if (found?.[1] !== undefined) resolve(found[1])
    })
    service.once('exit', () => reject(new Error(`provisioning ended: ${log}`)))
  })
  const agent = new Agent({ keepAlive: true, maxSockets: CALLERS, ca: readFileSync(join(data, 'ca.crt')) })
  const operator = `Bearer ${readFileSync(join(data, 'admin.token'), 'utf8').trim()}`
  const post = (path: string, body: Buffer, headers: Record<string, string>) =>
    new Promise<Buffer>((resolve, reject) => {
      const outgoing = request(`${url}${path}`, { method: 'POST', agent, headers })
      outgoing.once('error', reject)
      outgoing.once('response', async response => {
        const chunks: Buffer[] = []
        for await (const chunk of response) chunks.push(chunk as Buffer)
        const { statusCode = 0 } = response
        if (statusCode >= 300) reject(new Error(`${path} answered ${statusCode}: ${Buffer.concat(chunks)}`))
        else resolve(Buffer.concat(chunks))
      })
      outgoing.end(body)
    })

  async function makeToken(): Promise<Token> {
    const order = Buffer.from(JSON.stringify({ group: 'bench', cmp: true }))
    const headers = { authorization: operator, 'content-type': 'application/json' }
    const made = JSON.parse(String(await post('/v1/enrollment-tokens', order, headers)))
    return { token: made.token, ...made.cmp }
  }

  /** Everything that the device does itself is done before the measurement; gives what sends it. */
  async function prepared(way: Way, round: number): Promise<(() => Promise<void>)[]> {
    const fleet = await makeRequests(`${way.replaceAll(' ', '-')}-${round}`, count)
    return Promise.all(
      fleet.map(async ({ deviceId, csr }) => {
        const { token, reference, secret } = await makeToken()
        if (way === 'EST simpleenroll') {
          const authorization = `Basic ${Buffer.from(`${deviceId}:${token}`).toString('base64')}`
          const body = Buffer.from(csr.replace(/-----[^-]+-----|\s/g, ''))
          const headers = { authorization, 'content-type': 'application/pkcs10' }
          return async () => void (await post('/.well-known/est/simpleenroll', body, headers))
        }
        const by = cmp.pbm(reference, secret)
        const [transactionId, headers] = [randomBytes(16), { 'content-type': 'application/pkixcmp' }]
        const body = { type: bodyTypes.ir, der: sequence(cmp.certificateRequest({ subject: deviceId })) }
        const implicitConfirm = way === 'CMP ir'
        const ir = cmp.message(by, { body, transactionId, implicitConfirm })
        return async () => {
          const reply = cmp.replyOf(await post('/.well-known/cmp', ir, headers))
          if (reply.bodyType !== bodyTypes.ip) throw new Error(reply.text)
          if (implicitConfirm) return
          const certHash = hash('sha256', cmp.certificateIn(reply), 'buffer')
          const confirmation = sequence(sequence(octetString(certHash), cmp.number(0)))
          const certConf = cmp.message(by, {
            ...{ transactionId, recipNonce: reply.senderNonce },
            body: { type: bodyTypes.certConf, der: confirmation },
          })
          const last = cmp.replyOf(await post('/.well-known/cmp', certConf, headers))
          if (last.bodyType !== bodyTypes.pkiconf) throw new Error(last.text)
        }
      }),
    )
  }

  const ways: readonly Way[] = ['EST simpleenroll', 'CMP ir', 'CMP ir and certConf']
  const spent = new Map<Way, { all: number; loop: number }[]>(ways.map(way => [way, []]))
  // The first round warms up, and does not count.
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const way of ways) {
      const sends = await prepared(way, round)
      const pid = service.pid ?? 0
      const [all, loop] = [cpuMicros(pid), loopMicros(pid)]
      await each(sends)
      const used = { all: (cpuMicros(pid) - all) / count, loop: (loopMicros(pid) - loop) / count }
      if (round > 0) spent.get(way)!.push(used)
    }
  }
  const est = median(spent.get('EST simpleenroll')!.map(({ all }) => all))
  for (const way of ways) {
    const all = spent.get(way)!.map(one => one.all)
    const loop = median(spent.get(way)!.map(one => one.loop))
    const range = `${Math.round(Math.min(...all))}–${Math.round(Math.max(...all))}`
    const ratio = (median(all) / est).toFixed(2)
    console.log(
      `${way}: ${Math.round(median(all))} µs of CPU (${range}), ${Math.round(loop)} of them on the event loop, ${ratio} × of EST`,
    )
  }
} finally {
  const ended = service.exitCode === null ? once(service, 'exit') : null
  service.kill()
  await ended
  rmSync(data, { recursive: true, force: true })
}

async function each(sends: readonly (() => Promise<void>)[]): Promise<void> {
  const waiting = sends.values()
  const caller = async () => {
    for (const send of waiting) await send()
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}
