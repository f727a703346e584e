// What an operator does while the fleet runs, and what that should mean for each device it concerns.
// Through the provisioning API, or a command of the user's for brokers that have none.
import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import type { Api } from '../enrollment/api.ts'
import { enroll } from '../enrollment/enroll-fleet.ts'
import type { IdentityStore } from '../enrollment/identity-store.ts'
import { refusal } from '../enrollment/refusal.ts'
import { RunFailed } from '../failure.ts'
import { credentialsOf } from '../links/session.ts'
import { chanceOf } from '../random.ts'
import type { Expectation } from '../results/summary.ts'
import type { ActionPlan, Plan } from '../scenario/plan.ts'
import { forEachBounded } from '../schedule.ts'
import { machineNow } from '../workers/machine-clock.ts'
import type { Pool } from '../workers/pool.ts'
import type { Participant } from './participants.ts'

export type Operator = {
  /** Carries one action out and gives how many devices it concerned and for how many it failed. */
  act(action: ActionPlan, index: number): Promise<{ devices: number; failed: number; fault: string | null }>
  /** Activates devices still suspended and enables issuers still disabled; revoked certificates stay revoked. */
  restore(): Promise<void>
}

type OperatorOptions = {
  plan: Plan
  members: readonly Participant[]
  pool: Pool
  api: Api | null
  store: IdentityStore | null
  /** Called as `COMMAND revoke DEVICE FINGERPRINT`; without a shell. */
  command: string | null
}

const AT_ONCE = 16
const COMMAND_DEADLINE_MS = 30_000

export function createOperator(options: OperatorOptions): Operator {
  const { plan, members, pool, api, store, command } = options
  const revoked = new Set<Participant>()
  const suspended = new Set<Participant>()
  const disabled = new Set<string>()

  function concerned(action: ActionPlan, index: number): Participant[] {
    const ofGroup = members.filter(member => action.group === null || member.group === action.group)
    if (action.verb.endsWith('issuer')) {
      const issuer = ofGroup[0]?.identity && issuerName(ofGroup[0])
      return members.filter(member => issuerName(member) === issuer)
    }
    const wanted = Math.max(1, Math.round(ofGroup.length * action.share))
    // The suspended devices are activated: both actions choose the same ones. Revoked certificates stay revoked.
    const place = action.verb === 'suspend' || action.verb === 'activate' ? 'suspension' : index
    return ofGroup
      .filter(member => !revoked.has(member))
      .map(member => ({ member, chance: chanceOf(plan.seed, 'action', place, member.index) }))
      .toSorted((a, b) => a.chance - b.chance)
      .slice(0, wanted)
      .map(({ member }) => member)
  }

  function tell(
    devices: readonly Participant[],
    expect: Expectation,
    why: string,
    action: number,
    done: boolean,
  ): void {
    const answeredAt = done ? machineNow() : null
    pool.tell({ do: 'expect', devices: devices.map(member => member.index), expect, why, action, answeredAt })
  }

  async function ask(verb: string, path: string, body?: unknown): Promise<void> {
    if (!api) throw new RunFailed(`${verb} needs --api or --operator`)
    const answer = await api.call('POST', path, body)
    if (answer.problem) throw refusal(verb, answer.status, answer.problem)
  }

  async function apply(verb: ActionPlan['verb'], member: Participant): Promise<void> {
    const { id, identity } = member
    if (!identity) throw new RunFailed(`${verb}: ${id} has no certificate`)
    if (verb === 'rotate') return rotate(member)
    if (command !== null) return runCommand(command, [verb, id, identity.fingerprint])
    if (verb === 'revoke') {
      return ask(verb, `/v1/certificates/${identity.fingerprint}/revoke`, { reason: 'keyCompromise' })
    }
    return ask(verb, `/v1/devices/${id}/${verb}`)
  }

  async function rotate(member: Participant): Promise<void> {
    if (!api || !store) throw new RunFailed('rotate needs the provisioning API')
    // At most two certificates of a device admit: those that an earlier rotation left make room.
    const query = `deviceId=${encodeURIComponent(member.id)}&status=superseded`
    const left = await api.call<{ items: { fingerprint: string }[] }>('GET', `/v1/certificates?${query}`)
    for (const { fingerprint } of left.body.items ?? []) {
      await ask('rotate', `/v1/certificates/${fingerprint}/revoke`, { reason: 'superseded' })
    }
    const keyType = plan.groups[member.group]?.keyType ?? 'p256'
    const identity = await enroll(member.id, { api, keyType })
    await store.save(identity)
    member.identity = identity
    pool.tell({ do: 'rekey', device: member.index, credentials: credentialsOf(identity) })
  }

  async function issuerOf(action: ActionPlan, member: Participant | undefined): Promise<string> {
    if (action.issuer !== null) return action.issuer
    const fingerprint = member?.identity?.fingerprint
    const answer = await api?.call<{ issuerId: string | null }>('GET', `/v1/certificates/${fingerprint}`)
    if (!answer?.body?.issuerId)
      throw new RunFailed(`${action.verb}: the API names no issuer of ${member?.id}`)
    return answer.body.issuerId
  }

  async function actOnIssuer(action: ActionPlan, index: number, devices: Participant[]): Promise<void> {
    const enabling = action.verb === 'enable-issuer'
    const issuer = await issuerOf(action, devices[0])
    tell(devices, 'either', action.verb, index, false)
    if (enabling) disabled.delete(issuer)
    else disabled.add(issuer)
    await ask(action.verb, `/v1/issuers/${encodeURIComponent(issuer)}/${enabling ? 'enable' : 'disable'}`)
    tell(devices, enabling ? 'admitted' : 'refused', action.verb, index, true)
  }

  return {
    async act(action, index) {
      const devices = concerned(action, index)
      const { verb } = action
      let failed = 0
      let fault: string | null = null
      const failing = (error: unknown, count: number): void => {
        failed += count
        fault ??= (error as Error).message
      }
      if (verb.endsWith('issuer')) {
        await actOnIssuer(action, index, devices).catch(error => failing(error, devices.length))
        return { devices: devices.length, failed, fault }
      }
      const ends = verb === 'revoke' || verb === 'suspend'
      await forEachBounded(devices, AT_ONCE, async member => {
        if (verb !== 'rotate') tell([member], 'either', verb, index, false)
        try {
          await apply(verb, member)
        } catch (error) {
          return failing(error, 1)
        }
        if (verb === 'revoke') revoked.add(member)
        if (verb === 'suspend') suspended.add(member)
        if (verb === 'activate') suspended.delete(member)
        if (verb !== 'rotate') tell([member], ends ? 'refused' : 'admitted', verb, index, true)
      })
      return { devices: devices.length, failed, fault }
    },
    async restore() {
      for (const issuer of disabled) {
        await ask('enable-issuer', `/v1/issuers/${encodeURIComponent(issuer)}/enable`).catch(() => {})
      }
      await forEachBounded([...suspended], AT_ONCE, member => apply('activate', member).catch(() => {}))
    },
  }
}

function issuerName({ identity }: Participant): string | null {
  return identity ? new X509Certificate(identity.certificates).issuer : null
}

function runCommand(command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { timeout: COMMAND_DEADLINE_MS }, error => {
      if (error) reject(new RunFailed(`${command} ${args.join(' ')}: ${error.message}`, { cause: error }))
      else resolve()
    })
  })
}
