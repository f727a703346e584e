// The roll as the model has it: certificates with their statuses, devices with their states, and what time does to them.
import {
  type Card,
  type CertificateTransition,
  cards,
  DAY_MS,
  devices,
  type IssuerName,
  type Step,
} from './commands.ts'

/** The numbers of the rules, so that a test can get one wrong and see it found. */
export const rules = {
  graceMs: DAY_MS,
  pendingMs: 7 * DAY_MS,
  renewalMs: 7 * DAY_MS,
  skewMs: 5 * 60_000,
  admittingMax: 2,
  pendingMax: 4,
  replaceableAfterMs: 3_600_000,
  compromiseCoversTheKey: true,
  compromiseCoversTheLineage: true,
  suspensionCuts: true,
  leftSurvivesRestart: true,
  sessionsExpire: true,
  willsWait: true,
  noLocal: true,
}
export type Rules = typeof rules

type Status =
  | 'pending'
  | 'issued'
  | 'active'
  | 'superseded'
  | 'suspended'
  | 'rejected'
  | 'retired'
  | 'lapsed'
  | 'revoked'
export type Listed = Card & {
  name: string
  status: Status
  used: boolean
  issuedAt: number
  graceUntil: number
  /** When time makes it forgotten, lapsed or retired. */
  dueAt: number
  /** It replaces one whose key is not safe. */
  compromise: boolean
  reason: 'unspecified' | 'keyCompromise' | null
  /** The key that asked for it; null once an operator has approved it, or where an operator asked. */
  askedWith: string | null
}

export type Member = {
  id: string
  state: 'registered' | 'active' | 'suspended' | 'decommissioned'
  listed: Listed[]
}

const moves: Record<CertificateTransition, { from: Status[]; to: Status }> = {
  approve: { from: ['pending'], to: 'active' },
  reject: { from: ['pending'], to: 'rejected' },
  suspend: { from: ['active'], to: 'suspended' },
  activate: { from: ['suspended'], to: 'active' },
  revoke: { from: ['issued', 'active', 'superseded', 'suspended'], to: 'revoked' },
  'revoke compromised': { from: [], to: 'revoked' },
}
const NEVER = Number.POSITIVE_INFINITY

export function createRollModel(law: Rules) {
  let now = 0
  const enabled: Record<IssuerName, boolean> = { a: true, b: true }
  const fleet = new Map<string, Member>(devices.map(id => [id, { id, state: 'registered', listed: [] }]))
  /** What the changes of this step were about; sessions on it are judged again. */
  let changed: { certificates: Set<Listed>; devices: Set<Member> } = {
    certificates: new Set(),
    devices: new Set(),
  }

  const compromisedKeys = new Set<string>()
  const find = (name: string) => fleet.get(cards[name]!.device)!.listed.find(one => one.name === name)
  const ownerOf = (listed: Listed) => fleet.get(listed.device)!
  const change = (listed: Listed) => {
    changed.certificates.add(listed)
    changed.devices.add(ownerOf(listed))
  }

  /** Why a listed certificate is not admitted now; null where it is. */
  function refusal(listed: Listed): string | null {
    const { status } = listed
    if (status === 'superseded' ? now >= listed.graceUntil : status !== 'issued' && status !== 'active') {
      return `certificate_${status}`
    }
    const { state } = ownerOf(listed)
    if (state === 'suspended' || state === 'decommissioned') return `device_${state}`
    if (now < listed.notBefore - law.skewMs) return 'certificate_not_yet_valid'
    if (now > listed.notAfter) return 'certificate_expired'
    return enabled[listed.issuer] ? null : 'issuer_disabled'
  }

  const rightEndsAt = (listed: Listed) =>
    Math.min(listed.notAfter, listed.status === 'superseded' ? listed.graceUntil : NEVER)

  const admitting = (device: Member) =>
    device.listed.filter(
      ({ status, graceUntil, notAfter, issuer }) =>
        (status === 'issued' || status === 'active' || (status === 'superseded' && graceUntil > now)) &&
        notAfter > now &&
        enabled[issuer],
    )

  /** The name of the certificate that asks for another one. */
  function askerOf({ certificate, by }: Extract<Step, { do: 'enroll' }>): string {
    const { id, listed } = fleet.get(cards[certificate]!.device)!
    return listed.at(-1 - Number(by))?.name ?? `${id}.4`
  }

  /** Whether it holds one that admits it, or would once what can be undone is undone. */
  const holds = (device: Member) =>
    device.listed.some(({ status, graceUntil, notAfter }) => {
      const inUse = status === 'issued' || status === 'active' || status === 'suspended'
      return notAfter > now && (inUse || (status === 'superseded' && graceUntil > now))
    })

  /** Why the certificate that asks obtains no other, or null. */
  function askingRefused(name: string): string | null {
    if (compromisedKeys.has(cards[name]!.key)) return 'public_key_compromised'
    const status = find(name)?.status ?? 'active'
    const out: Status[] = ['pending', 'suspended', 'rejected', 'revoked']
    return out.includes(status) ? 'certificate_status_forbids' : null
  }

  /** A renewal that nobody used for an hour makes room for another one that the same key asks for. */
  function lapseUnused(device: Member, asking: string | null): void {
    if (asking === null || admitting(device).length < law.admittingMax) return
    const key = cards[asking]!.key
    const unused = device.listed.find(
      ({ status, used, issuedAt, askedWith }) =>
        status === 'issued' && !used && issuedAt <= now - law.replaceableAfterMs && askedWith === key,
    )
    if (unused !== undefined) Object.assign(unused, { status: 'lapsed', dueAt: NEVER })
  }

  function enroll({ certificate, by, compromise, ...asked }: Extract<Step, { do: 'enroll' }>): string {
    const card = cards[certificate]!
    const device = fleet.get(card.device)!
    const asking = by === null ? null : String(by)
    const refused = asking === null ? null : askingRefused(asking)
    if (refused !== null) return refused
    if (device.state === 'decommissioned') return 'device_state_forbids'
    if (compromisedKeys.has(card.key)) return 'public_key_compromised'
    if (find(certificate) !== undefined) return 'certificate_exists'
    if (asked.pending === false || (asked.pending === 'if held' && !holds(device)))
      lapseUnused(device, asking)
    const before = admitting(device).length
    const pending = asked.pending === 'if held' ? holds(device) : asked.pending
    const waiting = device.listed.filter(({ status }) => status === 'pending').length
    if (pending ? waiting >= law.pendingMax : before >= law.admittingMax) return 'certificates_exceeded'
    const renewalEnds = before > 0 ? now + law.renewalMs : NEVER
    device.listed.push({
      ...card,
      name: certificate,
      status: pending ? 'pending' : 'issued',
      used: false,
      issuedAt: now,
      graceUntil: 0,
      dueAt: pending ? now + law.pendingMs : renewalEnds,
      compromise: compromise && before > 0,
      reason: null,
      askedWith: asking === null ? null : cards[asking]!.key,
    })
    return 'done'
  }

  /** Every key that this one obtained a certificate for, and itself. */
  function keysObtainedWith(key: string, device: Member): Set<string> {
    const keys = new Set([key])
    for (let before = 0; law.compromiseCoversTheLineage && before < keys.size; ) {
      before = keys.size
      for (const one of device.listed)
        if (one.askedWith !== null && keys.has(one.askedWith)) keys.add(one.key)
    }
    return keys
  }

  function compromise(named: Listed): string {
    const device = ownerOf(named)
    const live: Status[] = ['pending', 'issued', 'active', 'superseded', 'suspended']
    const keys = keysObtainedWith(named.key, device)
    const others = device.listed.filter(
      one => one !== named && law.compromiseCoversTheKey && keys.has(one.key) && live.includes(one.status),
    )
    for (const key of keys) compromisedKeys.add(key)
    if (named.reason === 'keyCompromise' && others.length === 0) return 'done'
    for (const one of [...others, named]) {
      Object.assign(one, { status: 'revoked', reason: 'keyCompromise', dueAt: NEVER })
      change(one)
    }
    return 'done'
  }

  function moveCertificate(name: string, move: CertificateTransition): string {
    const listed = find(name)
    if (listed === undefined) return 'certificate_unknown'
    if (move === 'revoke compromised') return compromise(listed)
    const { from, to } = moves[move]
    if (listed.status === to) return 'done'
    if (!from.includes(listed.status)) return 'certificate_status_forbids'
    if (to === 'active') {
      if (ownerOf(listed).state === 'decommissioned') return 'device_state_forbids'
      if (listed.notAfter > now && admitting(ownerOf(listed)).length >= law.admittingMax)
        return 'certificates_exceeded'
    }
    Object.assign(listed, { status: to, dueAt: NEVER })
    if (move === 'revoke') listed.reason = 'unspecified'
    if (move === 'approve') listed.askedWith = null
    change(listed)
    return 'done'
  }

  function moveDevice(device: Member, move: 'suspend' | 'activate' | 'decommission'): string {
    const to = ({ suspend: 'suspended', activate: 'active', decommission: 'decommissioned' } as const)[move]
    if (device.state === to) return 'done'
    if (device.state === 'decommissioned') return 'device_state_forbids'
    device.state = to
    changed.devices.add(device)
    if (law.suspensionCuts || to !== 'suspended')
      for (const listed of device.listed) changed.certificates.add(listed)
    return 'done'
  }

  /** The first CONNECT: what was listed before is superseded. */
  function use(device: Member, listed: Listed): void {
    if (device.state === 'registered') device.state = 'active'
    if (listed.used || listed.status === 'superseded') return
    Object.assign(listed, { used: true, status: 'active', dueAt: NEVER })
    for (const older of device.listed.slice(0, device.listed.indexOf(listed))) {
      if ((older.status !== 'issued' && older.status !== 'active') || older.notAfter <= now) continue
      const graceUntil = now + (listed.compromise ? 0 : law.graceMs)
      Object.assign(older, { status: 'superseded', graceUntil, dueAt: graceUntil })
      change(older)
    }
  }

  /** What time does to certificates. */
  function pass(): void {
    for (const device of fleet.values()) {
      for (const listed of device.listed.filter(({ dueAt }) => dueAt <= now)) {
        const { status } = listed
        listed.dueAt = NEVER
        if (status === 'pending') device.listed.splice(device.listed.indexOf(listed), 1)
        else listed.status = status === 'superseded' ? 'retired' : 'lapsed'
        change(listed)
      }
    }
  }

  return {
    fleet,
    find,
    ownerOf,
    askerOf,
    refusal,
    rightEndsAt,
    enroll,
    moveCertificate,
    moveDevice,
    use,
    pass,
    now: () => now,
    changed: () => changed,
    forgetChanges() {
      changed = { certificates: new Set(), devices: new Set() }
    },
    setClock(ms: number) {
      now += ms
    },
    enable(issuer: IssuerName, to: boolean) {
      enabled[issuer] = to
    },
    /** Status and verdict of every certificate, state of every device. */
    shown: () =>
      [...fleet.values()].map(({ id, state, listed }) => ({
        id,
        state,
        listed: listed.map(one => `${one.name} ${one.status} ${refusal(one) ?? 'admitted'}`),
      })),
  }
}
