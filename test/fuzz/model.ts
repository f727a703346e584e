// What should be true, in as few words as possible: who is on the roll, who is connected, what each may, and who hears
// of a message. Knows no sockets, no registry and no clock but its own.
import { type Command, devices, named, type Policy, type Step } from './commands.ts'
import { createRollModel, type Listed, type Member, type Rules, rules } from './model-roll.ts'
import { matches, mayRetain, maySubscribe, mayUse } from './rights.ts'

type Stored = { filters: Set<string>; queue: { topic: string; payload: string }[] }
type Session = { listed: Listed; will: boolean; rightEndsAt: number; filters: Set<string> }
type Device = { id: string; session: Session | null; stored: Stored | null; reader: boolean }
/** What a step should look like from outside: its answer, who must receive what, and who may. */
export type Expected = { answer: string; must: Set<string>; may: Set<string> }
export type Model = ReturnType<typeof createModel>

export function createModel(law: Rules = rules) {
  const roll = createRollModel(law)
  let policy: Policy = 'wide'
  const fleet = new Map<string, Device>(
    devices.map(id => [id, { id, session: null, stored: null, reader: false }]),
  )
  /** By topic. It is worth what its publisher may still publish. */
  const retained = new Map<string, { payload: string; publisher: Device }>()
  let expected: Expected = { answer: '', must: new Set(), may: new Set() }

  const standing = ({ id, reader }: Device) => ({ device: id, policy, reader })

  function connect({ certificate, clean, will, alias }: Extract<Step, { do: 'connect' }>): string {
    const listed = roll.find(certificate)
    if (listed === undefined) return 'cut'
    if (roll.refusal(listed) !== null) return 'connack 5'
    if (alias) return 'connack 2'
    const device = fleet.get(listed.device)!
    if (will && !mayUse(standing(device), `devices/${device.id}/will`, 'will')) return 'connack 5'
    const stored = clean ? null : device.stored
    for (const filter of stored?.filters ?? []) {
      if (!maySubscribe(standing(device), filter)) stored!.filters.delete(filter)
    }
    const present = stored !== null
    endWithWill(device) // [MQTT-3.1.4-2]
    device.stored = clean ? null : (stored ?? { filters: new Set(), queue: [] })
    const filters = device.stored?.filters ?? new Set<string>()
    device.session = { listed, will, rightEndsAt: roll.rightEndsAt(listed), filters }
    for (const { topic, payload } of device.stored?.queue.splice(0) ?? []) {
      if (mayUse(standing(device), topic, 'receive')) expected.must.add(`${device.id} ${payload}`)
    }
    roll.use(roll.ownerOf(listed), listed)
    return `connack 0 ${present ? 'present' : 'new'}`
  }

  function publish({ retain, qos, ...given }: Extract<Step, { do: 'publish' }>, payload: string): string {
    const device = fleet.get(given.device)!
    if (device.session === null) return 'absent'
    const topic = named(given.topic, device.id)
    if (!(retain ? mayRetain(standing(device), topic) : mayUse(standing(device), topic, 'publish'))) {
      endWithWill(device)
      return 'closed'
    }
    if (retain) retained.set(topic, { payload, publisher: device })
    route(topic, payload, qos)
    return 'sent'
  }

  function route(topic: string, payload: string, qos: 0 | 1): void {
    for (const device of fleet.values()) {
      const filters = device.session?.filters ?? device.stored?.filters ?? new Set()
      if (![...filters].some(filter => matches(filter, topic))) continue
      if (device.session === null) {
        if (qos === 1) device.stored?.queue.push({ topic, payload })
      } else if (mayUse(standing(device), topic, 'receive')) expected.must.add(`${device.id} ${payload}`)
    }
  }

  /** The connection ends without DISCONNECT and without losing a right: its will is sent to the others. */
  function endWithWill(device: Device): void {
    const { session } = device
    device.session = null
    const topic = `devices/${device.id}/will`
    if (!session?.will || !mayUse(standing(device), topic, 'will')) return
    route(topic, `will of ${device.id}`, 0)
    // Whoever takes a session over may have its subscriptions back before the old will is sent.
    expected.may.add(`${device.id} will of ${device.id}`)
  }

  function subscribe(device: Device, template: string): string {
    if (device.session === null) return 'absent'
    const filter = named(template, device.id)
    if (!maySubscribe(standing(device), filter)) return 'suback 128'
    device.session.filters.add(filter)
    for (const [topic, { payload, publisher }] of retained) {
      const shown = mayUse(standing(device), topic, 'receive') && mayRetain(standing(publisher), topic)
      if (shown && matches(filter, topic)) expected.must.add(`${device.id} ${payload}`)
    }
    return 'suback 1'
  }

  function dropDenied(): void {
    for (const device of fleet.values()) {
      for (const filters of [device.session?.filters, device.stored?.filters]) {
        for (const filter of filters ?? [])
          if (!maySubscribe(standing(device), filter)) filters?.delete(filter)
      }
    }
  }

  function restart(): void {
    if (!law.leftSurvivesRestart) retained.clear()
    for (const device of fleet.values()) {
      // All connections end at once: who goes first is heard by who goes last.
      if (device.session?.will) {
        for (const other of fleet.values()) {
          if (mayUse(standing(other), `devices/${device.id}/will`, 'receive'))
            expected.may.add(`${other.id} will of ${device.id}`)
        }
      }
    }
    for (const device of fleet.values()) {
      device.session = null
      if (!law.leftSurvivesRestart) device.stored = null
    }
  }

  function act(command: Step, payload: string): string {
    switch (command.do) {
      case 'enroll':
        return roll.enroll(command)
      case 'connect':
        return connect(command)
      case 'leave': {
        const device = fleet.get(command.device)!
        if (command.how === 'drop') endWithWill(device)
        device.session = null
        return 'done'
      }
      case 'subscribe':
        return subscribe(fleet.get(command.device)!, command.filter)
      case 'publish':
        return publish(command, payload)
      case 'device':
        return roll.moveDevice(roll.fleet.get(command.device)!, command.move)
      case 'certificate':
        return roll.moveCertificate(command.certificate, command.move)
      case 'issuer':
        roll.enable(command.issuer, command.enabled)
        judgeSessions(() => true)
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
  function judgeSessions(concerns: (session: Session) => boolean): void {
    for (const device of fleet.values()) {
      const { session } = device
      if (session === null || !(concerns(session) || session.rightEndsAt <= roll.now())) continue
      if (roll.refusal(session.listed) !== null) device.session = null
      else session.rightEndsAt = roll.rightEndsAt(session.listed)
    }
  }

  /** No certificate can ever admit the device again: its stored session goes, and what it left. The clock decides nothing here. */
  function forgetWhereNothingReturns({ id, state, listed }: Member): void {
    const mayAdmit = ['pending', 'issued', 'active', 'superseded', 'suspended']
    if (state !== 'decommissioned' && listed.some(({ status }) => mayAdmit.includes(status))) return
    fleet.get(id)!.stored = null
    for (const [topic, { publisher }] of retained) if (publisher.id === id) retained.delete(topic)
  }

  return {
    /** Takes one step and says how it should look. `payload` is what a message of this step carries. */
    step(command: Step, payload: string): Expected {
      expected = { answer: '', must: new Set(), may: new Set() }
      roll.forgetChanges()
      expected.answer = act(command, payload)
      roll.pass()
      const changed = roll.changed()
      judgeSessions(session => changed.certificates.has(session.listed))
      for (const member of changed.devices) forgetWhereNothingReturns(member)
      return expected
    },
    /** Names what a command is about: a certificate by its name, and somebody who is connected where anybody is. */
    named(command: Command): Step {
      if (command.do === 'publish' || command.do === 'subscribe') {
        const here = [...fleet.values()].filter(({ session }) => session !== null)
        const device = here[devices.indexOf(command.device as never) % here.length]?.id ?? command.device
        return { ...command, device }
      }
      if (command.do === 'clock' && command.from === 'next end') {
        const ends = [...fleet.values()].flatMap(({ session }) => session?.rightEndsAt ?? [])
        const next = Math.min(...ends.filter(end => end > roll.now()))
        return { ...command, ms: (Number.isFinite(next) ? next - roll.now() : 0) + command.ms }
      }
      if (command.do === 'enroll' && typeof command.by === 'number') {
        return { ...command, by: roll.askerOf(command) }
      }
      if (!('certificate' in command) || typeof command.certificate === 'string') return command as Step
      const { device, nth } = command.certificate
      const name = roll.fleet.get(device)!.listed.at(-1 - nth)?.name ?? `${device}.4`
      return { ...command, certificate: name } as Step
    },
    connected: () => [...fleet.values()].filter(({ session }) => session !== null).map(({ id }) => id),
    roll: roll.shown,
    standings: () => [...fleet.values()].map(standing),
  }
}
