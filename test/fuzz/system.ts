// The real thing for the fuzz: registry, broker, sweep and sockets in this process, on a clock that only steps move.
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { decideAdmission } from '../../admission/decide.ts'
import { type Broker, startBroker } from '../../broker/index.ts'
import { createRightsResolver } from '../../broker/mqtt/rights-resolver.ts'
import { validateSettings } from '../../broker/settings/validation.ts'
import { prepareAdmissionLookup } from '../../db/admission-lookup.ts'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../db/index.ts'
import { preparePolicyLookup } from '../../db/policies/policy-lookup.ts'
import { Conflict } from '../../db/transact.ts'
import { certificateFacts } from '../../pki/certificate-facts.ts'
import { tester } from '../harness/roll.ts'
import { type CertificateTransition, cards, devices, named, type Step } from './commands.ts'
import { connectPacket } from './connect-packet.ts'
import { type DeviceLink, openLink } from './device-link.ts'
import { type Ground, policies } from './ground.ts'

export type System = Awaited<ReturnType<typeof startSystem>>
/** How often the broker looks for sessions and wills whose time has come. */
const EXPIRY_CHECK_MS = 2

/** One running system on a registry of its own. */
export async function startSystem(ground: Ground) {
  const data = mkdtempSync(join(tmpdir(), 'rollcall-fuzz-'))
  cpSync(ground.data, data, { recursive: true })
  let clock = ground.start
  const now = () => clock
  const registry = openForWriting(join(data, 'registry.db'))
  registry.sqlite.pragma('synchronous = OFF') // nobody pulls the plug here
  const writer = createRegistryWriter(registry, now)
  const lookup = prepareAdmissionLookup(registry.sqlite)
  const rightsOf = createRightsResolver({
    policiesOf: preparePolicyLookup(registry),
    onDoubt(error) {
      throw error
    },
  })
  const links = new Map<string, DeviceLink>()
  let broker = await start()

  function start(): Promise<Broker> {
    return startBroker({
      data,
      host: '127.0.0.1',
      port: 0,
      // The clock leaps by months: the model does not know that messages grow too old.
      settings: {
        ...validateSettings({}),
        registryPollMs: 1,
        refusalDelayMs: 0,
        offlineAgeMaxMs: Number.MAX_SAFE_INTEGER,
      },
      log: pino({ level: 'silent' }),
      now,
      intervals: { expiryCheckMs: EXPIRY_CHECK_MS, registryWriteMs: 2 },
    })
  }

  const epochs = registry.sqlite.prepare<[], { latest: number; acknowledged: number }>(
    `SELECT coalesce((SELECT max(epoch) FROM changes), 0) AS latest,
            coalesce((SELECT acknowledged_epoch FROM nodes), 0) AS acknowledged`,
  )
  const rows = registry.sqlite.prepare<[string], { fingerprint: string; status: string }>(
    'SELECT fingerprint, status FROM certificates WHERE device_id = ? ORDER BY rowid',
  )
  const stateOf = registry.sqlite.prepare<[string], string>('SELECT state FROM devices WHERE id = ?').pluck()
  const nameOf = new Map([...ground.identities].map(([name, { fingerprint }]) => [fingerprint, name]))
  const authenticatorOf = (name: string) => {
    const { der, fingerprint } = ground.identities.get(name)!
    return { fingerprint, spkiHash: certificateFacts(der).spkiHash }
  }
  const fingerprintOf = (name: string) => ground.identities.get(name)!.fingerprint

  async function connect(command: Extract<Step, { do: 'connect' }>): Promise<string> {
    const { certificate, five } = command
    const { device } = cards[certificate]!
    const link = await openLink(broker.port, ground.ca, ground.identities.get(certificate)!, five ? 5 : 4)
    const answer = await link?.ask(connectPacket(device, command), 'connack')
    if (link == null || answer?.cmd !== 'connack') return 'cut'
    const code = five ? answer.reasonCode : answer.returnCode
    if (code !== 0) {
      await link.closed
      return `connack ${code}`
    }
    await links.get(device)?.closed // taken over
    links.set(device, link)
    return `connack 0 ${answer.sessionPresent ? 'present' : 'new'}`
  }

  async function publish(command: Extract<Step, { do: 'publish' }>, payload: string): Promise<string> {
    const { device, qos, retain, expirySeconds } = command
    const link = open(device)
    if (link === null) return 'absent'
    const packet = {
      cmd: 'publish',
      topic: named(command.topic, device),
      payload,
      qos,
      dup: false,
      retain,
      ...(expirySeconds !== null &&
        link.protocolVersion === 5 && { properties: { messageExpiryInterval: expirySeconds } }),
    } as const
    let code = 0
    if (qos === 0) link.send(packet)
    else {
      const answer = await link.ask({ ...packet, messageId: 7 }, 'puback')
      if (answer === null) return 'closed'
      if (answer.cmd === 'puback') code = answer.reasonCode ?? 0
    }
    return code !== 0
      ? `puback ${code}`
      : (await link.ask({ cmd: 'pingreq' }, 'pingresp')) === null
        ? 'closed'
        : 'sent'
  }

  async function subscribe(device: string, template: string, noLocal: boolean): Promise<string> {
    const link = open(device)
    if (link === null) return 'absent'
    const isFive = link.protocolVersion === 5
    const options = isFive ? { nl: noLocal, rap: false, rh: 0 } : {}
    const subscriptions = [{ topic: named(template, device), qos: 1 as const, ...options }]
    const answer = await link.ask({ cmd: 'subscribe', messageId: 9, subscriptions }, 'suback')
    return answer?.cmd === 'suback' ? `suback ${answer.granted[0]}` : 'closed'
  }

  async function leave(
    device: string,
    how: 'disconnect' | 'drop',
    expirySeconds: number | null,
  ): Promise<void> {
    const link = open(device)
    const properties = expirySeconds === null ? {} : { sessionExpiryInterval: expirySeconds }
    if (how === 'disconnect')
      link?.send({ cmd: 'disconnect', ...(link.protocolVersion === 5 && { properties }) })
    await (how === 'drop' ? link?.drop() : link?.closed)
    await gone(device)
  }

  /** The broker hears of an end later than the client that ends. */
  async function gone(device: string): Promise<void> {
    const open = [...links.values()].filter(link => link.isOpen()).length
    for (let turn = 0; turn < 1_000 && broker.sessions() > open; turn += 1) await turnOfTheLoop()
    links.delete(device)
  }

  const open = (device: string) => {
    const link = links.get(device)
    return link?.isOpen() ? link : null
  }

  function moveCertificate(name: string, move: CertificateTransition): Promise<unknown> {
    const fingerprint = fingerprintOf(name)
    if (move === 'revoke') return writer.revokeCertificate(fingerprint, 'unspecified', tester)
    if (move === 'revoke compromised') return writer.revokeCertificate(fingerprint, 'keyCompromise', tester)
    return writer[`${move}Certificate`](fingerprint, tester)
  }

  const deviceStates = { suspend: 'suspended', activate: 'active', decommission: 'decommissioned' } as const

  async function act(command: Step, payload: string): Promise<string> {
    switch (command.do) {
      case 'connect':
        return connect(command)
      case 'publish':
        return publish(command, payload)
      case 'subscribe':
        return subscribe(command.device, command.filter, command.noLocal)
      case 'leave':
        await leave(command.device, command.how, command.expirySeconds)
        break
      case 'enroll':
        await writer.listCertificate(
          {
            der: ground.identities.get(command.certificate)!.der,
            deviceId: cards[command.certificate]!.device,
            issuerId: ground.issuers[cards[command.certificate]!.issuer],
            trust: 'chained',
            status: command.pending === true ? 'pending' : 'issued',
            ...(command.pending === 'if held' && { pendingIf: { ifHeld: true, within: null } }),
            action: 'certificate.register',
            compromise: command.compromise,
            authenticator: command.by === null ? undefined : authenticatorOf(String(command.by)),
          },
          tester,
        )
        break
      case 'certificate':
        await moveCertificate(command.certificate, command.move)
        break
      case 'device':
        await writer.setDeviceState(command.device, deviceStates[command.move], tester)
        break
      case 'issuer':
        await writer.setIssuerEnabled(ground.issuers[command.issuer], command.enabled, tester)
        break
      case 'policy':
        await writer.putPolicy('default', policies[command.policy], tester)
        break
      case 'reader':
        if (command.attached) await writer.attachPolicy('reader', 'device', command.device, tester)
        else await writer.detachPolicy('reader', 'device', command.device, tester).catch(() => {})
        break
      case 'clock':
        clock += command.ms
        // What ends by the clock has been looked at when this is over.
        await new Promise(resolve => setTimeout(resolve, 2 * EXPIRY_CHECK_MS))
        break
      case 'restart':
        await broker.close()
        broker = await start()
    }
    return 'done'
  }

  /** What time does to certificates, as the sweep has it done. */
  async function pass(): Promise<void> {
    while ((await writer.passDeadlines(10)).passed.length === 10);
    await turnOfTheLoop()
  }

  return {
    /** Takes one step and gives its answer in the model's words. */
    async step(command: Step, payload: string): Promise<string> {
      for (const link of links.values()) link.heard.clear()
      const answer = await act(command, payload).catch(error => {
        if (error instanceof Conflict) return error.code
        throw error
      })
      await pass()
      return answer
    },
    pass,
    /** Whether the broker has acted upon all that was written. */
    isSettled(): boolean {
      const { latest, acknowledged } = epochs.get()!
      return acknowledged >= latest
    },
    /** Every open connection answers; what was sent to it before has arrived then. */
    async ping(): Promise<void> {
      await Promise.all([...links.values()].map(link => link.ask({ cmd: 'pingreq' }, 'pingresp')))
    },
    connected: () => devices.filter(id => open(id) !== null),
    sessions: () => broker.sessions(),
    heard: () => [...links].flatMap(([id, { heard }]) => [...heard].map(payload => `${id} ${payload}`)),
    roll: () =>
      devices.map(id => ({
        id,
        state: stateOf.get(id)!,
        listed: rows.all(id).map(({ fingerprint, status }) => {
          const peer = { fingerprint, chain: 'verified' } as const
          const admission = decideAdmission({ peer, record: lookup(fingerprint), now: clock, pq: 'accept' })
          return `${nameOf.get(fingerprint)} ${status} ${admission.admitted ? 'admitted' : admission.reason}`
        }),
      })),
    rights: (device: string) =>
      rightsOf({ deviceId: device, issuerId: ground.issuers.a, serialNumber: '01' }),
    async close() {
      await Promise.all([...links.values()].map(link => link.drop()))
      await broker.close()
      await closeRegistry(registry)
      rmSync(data, { recursive: true, force: true })
    },
  }
}

export function turnOfTheLoop(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
