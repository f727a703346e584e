// The participants of a run with their credentials: honest devices are enrolled or read, faulty ones prepared.
// Does not know what they will do.
import type { Api } from '../enrollment/api.ts'
import { type EnrollmentOptions, enrollFleet, noCauses, obtainIdentity } from '../enrollment/enroll-fleet.ts'
import type { EstServer } from '../enrollment/est.ts'
import { forgeSelfSigned, forgeWithForeignCa, type Identity } from '../enrollment/identity.ts'
import { type IdentityStore, openIdentityStore } from '../enrollment/identity-store.ts'
import { prepareRogue, type RogueKind } from '../enrollment/rogues.ts'
import { BadUsage, RunFailed } from '../failure.ts'
import { type FaultKind, faults, preparedFaults } from '../faults.ts'
import type { DeviceSpec } from '../fleet/device-state.ts'
import { deviceIdIn, numberIn } from '../fleet/group.ts'
import { type Credentials, credentialsOf } from '../links/session.ts'
import type { EnrollmentResult } from '../results/summary.ts'
import { addUp } from '../results/tick.ts'
import type { GroupPlan, Plan } from '../scenario/plan.ts'
import { stageTimes } from '../scenario/stage-times.ts'
import { filled } from '../scenario/topic.ts'
import { readIdentities } from './identity-directory.ts'
import { activateSuspended } from './recovery.ts'
import type { EstTarget, RunTarget } from './target.ts'

export type Participant = DeviceSpec & { identity: Identity | null }

export type Participants = {
  members: Participant[]
  enrollment: EnrollmentResult
  /** Null where all identities came from files. */
  api: Api | null
  store: IdentityStore | null
}

type ParticipantsOptions = {
  signal: AbortSignal
  enrollConcurrency: number
  onProgress: (done: number, total: number) => void
}

/** Faults of the TLS handshake, or written on a TLS socket. */
const wireFaults: readonly FaultKind[] = ['half-open', 'slow-writer', 'handshake-flood']

/** What a report says of them, so that nobody takes them for chips. */
const SOFTWARE_TPMS = 'models in software, which protect no key'

/** A certificate must last this much longer than the run. */
const SPARE_MS = 600_000

/** @throws RunFailed where a device cannot be enrolled, read or prepared. BadUsage where a fault needs an API. */
export async function prepareParticipants(
  plan: Plan,
  target: RunTarget,
  options: ParticipantsOptions,
): Promise<Participants> {
  requirePreparable(plan, target)
  const api = target.api
    ? (await import('../enrollment/api.ts')).createApi({
        ...target.api,
        ca: target.broker.ca,
        connectionsMax: options.enrollConcurrency,
        signal: options.signal,
      })
    : null
  const { from } = target.identities
  const unissued = from === 'nowhere' || from === 'one'
  const enrolls = !unissued && from !== 'directory' && plan.groups.some(group => group.directory === null)
  const shared = target.identities.from === 'one' ? target.identities.credentials : null
  const est =
    target.identities.from === 'est' ? estServer(target.identities.est, api, target.broker.ca) : null
  const issuedAt = est?.url ?? api?.url
  const store = enrolls && issuedAt ? await openIdentityStore(target.keysDir, issuedAt) : null
  const enrollment = {
    reused: 0,
    enrolled: 0,
    seconds: 0,
    apiRetries: 0,
    answersLost: 0,
    answersRecovered: 0,
    causes: noCauses(),
    ...(from === 'tpm' ? { tpms: SOFTWARE_TPMS } : {}),
  }
  const startedAt = performance.now()
  const total = plan.groups.reduce((sum, { count }) => sum + count, 0)
  const members: Participant[] = []
  let victim: Identity | null = null
  let readFrom = 0
  let index = 0
  // Honest groups first: other groups borrow their identities.
  for (const group of byHonesty(plan)) {
    const groupIndex = plan.groups.indexOf(group)
    const first = plan.groups.slice(0, groupIndex).reduce((sum, { count }) => sum + count, 0)
    const done = index
    const onProgress = (count: number): void => options.onProgress(done + count, total)
    const source =
      group.directory ?? (target.identities.from === 'directory' ? target.identities.directory : null)
    let identities: (Identity | null)[]
    let clientId: string | null = null
    if (unissued && group.directory === null && !group.fault) {
      identities = []
    } else if (isForged(group.fault)) {
      if (!victim)
        throw new RunFailed(`group ${group.name} borrows the names of an honest device, and there is none`)
      clientId = victim.deviceId
      identities = await forge(group, victim)
    } else if (source !== null) {
      identities = readIdentities(source, distinct(group), group.directory === null ? readFrom : 0)
      if (group.directory === null) readFrom += distinct(group)
    } else {
      const byEst = est !== null && (group.fault !== 'lost-answer' || !api)
      const enrolling = {
        ...enrollingFor(group, plan, api, store as IdentityStore, options, onProgress),
        ...(byEst ? { est } : {}),
        ...(from === 'tpm' ? { tpm: true } : {}),
      }
      identities = await enrollGroup(group, victim, enrolling, enrollment)
    }
    if (group.fault === 'stolen-client-id') clientId = victim?.deviceId ?? null
    victim ??= group.fault === null || group.fault === 'lost-answer' ? (identities[0] ?? null) : null
    for (let member = 0; member < group.count; member++) {
      const identity = identities[Math.min(member, identities.length - 1)] ?? null
      members.push(memberOf(group, groupIndex, first + member, member, identity, clientId, shared))
    }
    index += group.count
    onProgress(group.count)
  }
  enrollment.seconds = Math.round(performance.now() - startedAt) / 1000
  enrollment.apiRetries = api?.retries() ?? 0
  return { members, enrollment, api, store }
}

function requirePreparable(plan: Plan, target: RunTarget): void {
  const needing = plan.groups.filter(({ fault, directory }) => {
    return (
      directory === null &&
      (['directory', 'one', 'nowhere'].includes(target.identities.from) || !target.api) &&
      fault &&
      preparedFaults.includes(fault)
    )
  })
  const onWire = plan.groups.filter(({ fault }) => fault !== null && wireFaults.includes(fault))
  if (onWire.length > 0 && target.broker.transport !== 'tls') {
    throw new BadUsage(onWire.map(({ name, fault }) => `group ${name}: ${fault} needs mqtts://`))
  }
  if (target.identities.from === 'tpm') {
    const others = plan.groups.filter(({ keyType, directory }) => directory === null && keyType !== 'p256')
    if (others.length > 0)
      throw new BadUsage(others.map(({ name }) => `group ${name}: the keys of TPMs are p256`))
  }
  if (needing.length === 0) return
  throw new BadUsage(
    needing.map(
      ({ name, fault }) => `group ${name}: ${fault} needs a directory of its own, or the provisioning API`,
    ),
  )
}

/** Of ours, with tokens of the API, where no other is named. */
function estServer(named: EstTarget | null, api: Api | null, ca: string | null): EstServer | null {
  if (named) return { ...named, ca }
  return api && { url: `${api.url}/.well-known/est`, ca, proof: { by: 'token', api } }
}

function byHonesty(plan: Plan): GroupPlan[] {
  return plan.groups.toSorted((a, b) => Number(isBorrowing(a.fault)) - Number(isBorrowing(b.fault)))
}

function isBorrowing(fault: FaultKind | null): boolean {
  return fault !== null && faults[fault].of === 'identity' && fault !== 'lost-answer'
}

function isForged(fault: FaultKind | null): boolean {
  return fault === 'foreign-ca' || fault === 'self-signed' || fault === 'no-certificate'
}

/** How many identities a group needs: clones share one. */
function distinct(group: GroupPlan): number {
  return group.fault === 'cloned-identity' ? 1 : group.count
}

async function forge(group: GroupPlan, victim: Identity): Promise<(Identity | null)[]> {
  const forged: (Identity | null)[] = []
  for (let member = 0; member < group.count; member++) {
    if (group.fault === 'no-certificate') forged.push(null)
    else if (group.fault === 'foreign-ca') forged.push(await forgeWithForeignCa(victim, group.keyType))
    else forged.push(await forgeSelfSigned(victim, group.keyType))
  }
  return forged
}

function enrollingFor(
  group: GroupPlan,
  plan: Plan,
  api: Api | null,
  store: IdentityStore,
  { signal, enrollConcurrency }: ParticipantsOptions,
  onProgress: (done: number) => void,
): EnrollmentOptions {
  return {
    api,
    store,
    keyType: group.keyType,
    concurrency: enrollConcurrency,
    neededUntil: new Date(Date.now() + stageTimes(plan).endsAtMs + SPARE_MS),
    attributes: group.attributes,
    groups: group.registryGroups,
    signal,
    onProgress,
  }
}

async function enrollGroup(
  group: GroupPlan,
  victim: Identity | null,
  enrolling: EnrollmentOptions,
  result: EnrollmentResult,
): Promise<Identity[]> {
  const ids = Array.from({ length: distinct(group) }, (_, member) => deviceIdIn(group, member))
  if (group.fault && preparedFaults.includes(group.fault)) {
    const identities: Identity[] = []
    for (const id of ids) {
      const borrowed = victim ?? (await obtainIdentity(id, enrolling)).identity
      const { api } = enrolling
      if (!api) throw new RunFailed(`${group.fault} needs the provisioning API`)
      const rogue = await prepareRogue(group.fault as RogueKind, id, borrowed, { ...enrolling, api })
      if (rogue.credentials) identities.push(rogue.credentials)
    }
    return identities
  }
  const lostAnswers = { lost: 0, recovered: 0 }
  const fleet = await enrollFleet(
    ids,
    group.fault === 'lost-answer' ? { ...enrolling, lostAnswers } : enrolling,
  )
  result.reused += fleet.reused
  result.enrolled += fleet.enrolled
  addUp(result.causes, fleet.causes)
  result.answersLost += lostAnswers.lost
  result.answersRecovered += lostAnswers.recovered
  const prefix = group.idTemplate.split('$')[0] ?? ''
  if (fleet.reused > 0 && enrolling.api) await activateSuspended(enrolling.api, ids, prefix)
  if (fleet.identities.length < ids.length) throw new RunFailed('interrupted while enrolling')
  return fleet.identities
}

function memberOf(
  group: GroupPlan,
  groupIndex: number,
  index: number,
  member: number,
  identity: Identity | null,
  clientId: string | null,
  shared: Credentials | null,
): Participant {
  const n = numberIn(group, member)
  const id = identity?.deviceId ?? deviceIdIn(group, member)
  const facts = { device: id, n, group: group.name, attributes: group.attributes }
  return {
    index,
    group: groupIndex,
    n,
    id,
    clientId: clientId ?? filled(group.clientIdTemplate, facts),
    credentials: identity ? credentialsOf(identity) : shared,
    identity,
  }
}
