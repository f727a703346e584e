// What should be true: listed and connected devices, their rights, and the receivers of a message. Has its own clock alone.
import { BACKEND, type Command, devices, named, type Policy, type Step } from './commands.ts'
import { createRollModel, type Member, type Rules, rules } from './model-roll.ts'
import {
  codeOf,
  type Device,
  EVER,
  type Expected,
  type Filters,
  MAY_ADMIT,
  type Message,
  msOf,
  NO_IDENTIFIER,
  NO_SUBSCRIBERS,
  NOT_AUTHORIZED,
  namedBy,
  type Session,
  willOf,
  willTopic,
} from './model-state.ts'
import { matches, mayRetain, maySubscribe, mayUse } from './rights.ts'

export type Model = ReturnType<typeof createModel>

export function createModel(law: Rules = rules) {
  const roll = createRollModel(law)
  let policy: Policy = 'wide'
  const fleet = new Map<string, Device>(
    devices.map(id => [id, { id, session: null, stored: null, reader: false, waiting: null }]),
  )
  /** By topic. It is worth what its publisher may still publish. */
  const retained = new Map<string, Message>()
  let expected: Expected = { answer: '', must: new Set(), may: new Set() }

  const standing = ({ id, reader }: Device) => ({ device: id, policy, reader })
  const isPast = (message: Message) => message.expiresAt <= roll.now()
  /** Its device hears of it; where the clock was set back over its end, it may. */
  const hears = (device: Device, { payload, doubtful }: Pick<Message, 'payload' | 'doubtful'>) =>
    (doubtful ? expected.may : expected.must).add(`${device.id} ${payload}`)

  function connect({ certificate, clean, will, alias, five }: Extract<Step, { do: 'connect' }>): string {
    const listed = roll.find(certificate)
    if (listed === undefined) return 'cut'
    const refused = roll.refusal(listed)
    if (refused !== null) return `connack ${five === null ? 5 : codeOf(refused)}`
    if (alias) return `connack ${five === null ? 2 : NO_IDENTIFIER}`
    const device = fleet.get(listed.device)!
    if (will && !mayUse(standing(device), willTopic(device), 'will'))
      return `connack ${five === null ? 5 : NOT_AUTHORIZED}`
    endWithWill(device) // [MQTT-3.1.4-2]
    if (clean) endStored(device)
    const { stored } = device
    const present = stored !== null
    device.waiting = null // it is back [MQTT-3.1.3-9]
    for (const filter of stored?.filters.keys() ?? [])
      if (!maySubscribe(standing(device), filter)) stored!.filters.delete(filter)
    const askedMs = five === null ? (clean ? 0 : EVER) : msOf(five.expirySeconds)
    if (stored !== null) Object.assign(stored, { expiryMs: askedMs, endsAt: EVER })
    else if (askedMs > 0) device.stored = { filters: new Map(), queue: [], expiryMs: askedMs, endsAt: EVER }
    device.session = {
      listed,
      five: five !== null,
      askedMs,
      will,
      willDelayMs: (five?.willDelaySeconds ?? 0) * 1_000,
      rightEndsAt: roll.rightEndsAt(listed),
      filters: device.stored?.filters ?? new Map(),
      retains: five === null || policy !== 'closed' || device.id === BACKEND,
    }
    for (const message of device.stored?.queue.splice(0) ?? [])
      if (!isPast(message) && mayUse(standing(device), message.topic, 'receive')) hears(device, message)
    roll.use(roll.ownerOf(listed), listed)
    return `connack 0 ${present ? 'present' : 'new'}`
  }

  function publish(given: Extract<Step, { do: 'publish' }>, payload: string): string {
    const { retain, qos, expirySeconds } = given
    const device = fleet.get(given.device)!
    const { session } = device
    if (session === null) return 'absent'
    const topic = named(given.topic, device.id)
    const isBeyond = retain && !session.retains
    if (
      isBeyond ||
      !(retain ? mayRetain(standing(device), topic) : mayUse(standing(device), topic, 'publish'))
    ) {
      if (session.five && !isBeyond) return qos === 0 ? 'sent' : `puback ${NOT_AUTHORIZED}`
      endWithWill(device)
      return 'closed'
    }
    const expiresAt = session.five && expirySeconds !== null ? roll.now() + expirySeconds * 1_000 : EVER
    const message = { topic, payload, publisher: device, expiresAt, doubtful: false }
    if (retain) retained.set(topic, message)
    const receivers = route(message, qos)
    return session.five && qos === 1 && receivers === 0 ? `puback ${NO_SUBSCRIBERS}` : 'sent'
  }

  /** Gives how many it is for, whether they get it or not. */
  function route(message: Message, qos: 0 | 1): number {
    let receivers = 0
    for (const device of fleet.values()) {
      const filters: Filters = device.session?.filters ?? device.stored?.filters ?? new Map()
      const isFor = [...filters].some(
        ([filter, noLocal]) =>
          matches(filter, message.topic) && !(noLocal && law.noLocal && message.publisher === device),
      )
      if (!isFor) continue
      receivers += 1
      if (device.session === null) {
        if (qos === 1) device.stored?.queue.push({ ...message })
      } else if (mayUse(standing(device), message.topic, 'receive')) hears(device, message)
    }
    return receivers
  }

  /** Its session waits for it for as long as it was agreed, or ends. */
  function leave(device: Device): void {
    const { session, stored } = device
    device.session = null
    if (session === null || stored === null) return
    if (stored.expiryMs === 0) device.stored = null
    else stored.endsAt = roll.now() + stored.expiryMs
  }

  /** The connection ends without DISCONNECT and without losing a right: its will is sent to the others, after its delay. */
  function endWithWill(device: Device): void {
    const { session } = device
    leave(device)
    if (!session?.will) return
    if (law.willsWait && session.willDelayMs > 0 && device.stored !== null) {
      const dueAt = Math.min(roll.now() + session.willDelayMs, device.stored.endsAt)
      device.waiting = { listed: session.listed, dueAt }
      return
    }
    if (!mayUse(standing(device), willTopic(device), 'will')) return
    route(willOf(device, false), 0)
    // A connection that takes a session over may have its subscriptions back before the old will is sent.
    expected.may.add(`${device.id} will of ${device.id}`)
  }

  const maySendWaiting = (device: Device) =>
    device.waiting !== null &&
    roll.refusal(device.waiting.listed) === null &&
    mayUse(standing(device), willTopic(device), 'will')

  /** A stored session ends, and a will waits no longer than that. */
  function endStored(device: Device): void {
    device.stored = null
    if (maySendWaiting(device)) {
      route(willOf(device, false), 0)
      expected.may.add(`${device.id} will of ${device.id}`)
    }
    device.waiting = null
  }

  /** The clock was set: sessions and delays end, before or after what it does to certificates. */
  function endByClock(could: ReadonlySet<Device>, before: ReadonlySet<Device>): void {
    for (const message of [
      ...retained.values(),
      ...[...fleet.values()].flatMap(each => each.stored?.queue ?? []),
    ])
      if (isPast(message)) message.doubtful = true
    for (const device of fleet.values()) {
      const { waiting, stored, session } = device
      const isOver = law.sessionsExpire && session === null && stored !== null && stored.endsAt <= roll.now()
      if (isOver) device.stored = null
      if (waiting === null || !(isOver || waiting.dueAt <= roll.now())) continue
      const can = maySendWaiting(device)
      if (can || could.has(device)) {
        route(willOf(device, can !== could.has(device)), 0)
        for (const other of before) expected.may.add(`${other.id} will of ${device.id}`)
      }
      device.waiting = null
    }
  }

  function subscribe(device: Device, template: string, noLocal: boolean): string {
    const { session } = device
    if (session === null) return 'absent'
    const filter = named(template, device.id)
    if (!maySubscribe(standing(device), filter)) return `suback ${session.five ? NOT_AUTHORIZED : 0x80}`
    session.filters.set(filter, session.five && noLocal)
    for (const [topic, message] of retained) {
      const { publisher } = message
      const shown = mayUse(standing(device), topic, 'receive') && mayRetain(standing(publisher), topic)
      const isOwn = session.five && noLocal && publisher === device
      if (shown && !isOwn && !isPast(message) && matches(filter, topic)) hears(device, message)
    }
    return 'suback 1'
  }

  function dropDenied(): void {
    for (const device of fleet.values())
      for (const filters of [device.session?.filters, device.stored?.filters])
        for (const filter of filters?.keys() ?? [])
          if (!maySubscribe(standing(device), filter)) filters?.delete(filter)
  }

  function restart(): void {
    if (!law.leftSurvivesRestart) retained.clear()
    // All connections end at once: later ones hear of earlier ones.
    for (const device of fleet.values())
      for (const other of device.session?.will ? fleet.values() : [])
        if (mayUse(standing(other), willTopic(device), 'receive'))
          expected.may.add(`${other.id} will of ${device.id}`)
    for (const device of fleet.values()) {
      if (device.session !== null) endWithWill(device)
      if (!law.leftSurvivesRestart) device.stored = null
    }
    expected.must.clear()
  }

  function act(command: Step, payload: string): string {
    switch (command.do) {
      case 'enroll':
        return roll.enroll(command)
      case 'connect':
        return connect(command)
      case 'leave': {
        const device = fleet.get(command.device)!
        const { session, stored } = device
        if (command.how === 'drop') endWithWill(device)
        else {
          const { expirySeconds } = command
          if (session?.five && expirySeconds !== null) {
            // A session that was to end with its connection may not be kept by DISCONNECT [MQTT-3.14.2-2].
            if (session.askedMs === 0 && expirySeconds > 0) endWithWill(device)
            else if (stored !== null) stored.expiryMs = msOf(expirySeconds)
          }
          leave(device)
        }
        return 'done'
      }
      case 'subscribe':
        return subscribe(fleet.get(command.device)!, command.filter, command.noLocal)
      case 'publish':
        return publish(command, payload)
      case 'device':
        return roll.moveDevice(roll.fleet.get(command.device)!, command.move)
      case 'certificate':
        return roll.moveCertificate(command.certificate, command.move)
      case 'issuer':
        roll.enable(command.issuer, command.enabled)
        checkSessions(() => true)
        return 'done'
      case 'policy':
        policy = command.policy
        dropDenied()
        return 'done'
      case 'reader':
        fleet.get(command.device)!.reader = command.attached
        dropDenied()
        return 'done'
      case 'clock':
        roll.setClock(command.ms)
        return 'done'
      case 'restart':
        restart()
        return 'done'
    }
  }

  /** No session outlives its right. Setting a clock back ends none by itself. */
  function checkSessions(concerns: (session: Session) => boolean): void {
    for (const device of fleet.values()) {
      const { session } = device
      if (session === null || !(concerns(session) || session.rightEndsAt <= roll.now())) continue
      if (roll.refusal(session.listed) !== null) leave(device)
      else session.rightEndsAt = roll.rightEndsAt(session.listed)
    }
  }

  /** No certificate can ever admit the device again: its stored session goes, and what it left. The clock decides nothing here. */
  function forgetWhereNothingReturns({ id, state, listed }: Member): void {
    if (state !== 'decommissioned' && listed.some(({ status }) => MAY_ADMIT.includes(status))) return
    Object.assign(fleet.get(id)!, { stored: null, waiting: null })
    for (const [topic, { publisher }] of retained) if (publisher.id === id) retained.delete(topic)
  }

  return {
    /** Takes one step and says how it should look; a message of this step carries `payload`. */
    step(command: Step, payload: string): Expected {
      expected = { answer: '', must: new Set(), may: new Set() }
      roll.forgetChanges()
      const before = new Set([...fleet.values()].filter(({ session }) => session !== null))
      expected.answer = act(command, payload)
      const could = new Set([...fleet.values()].filter(maySendWaiting))
      roll.pass()
      const changed = roll.changed()
      checkSessions(session => changed.certificates.has(session.listed))
      endByClock(could, before)
      for (const member of changed.devices) forgetWhereNothingReturns(member)
      return expected
    },
    named: (command: Command) => namedBy(command, fleet, roll),
    connected: () => [...fleet.values()].filter(({ session }) => session !== null).map(({ id }) => id),
    roll: roll.shown,
    standings: () => [...fleet.values()].map(standing),
  }
}
