// Devices that were refused since an operator outside of the run took them off the roll meanwhile: the API is asked, and they
// are not counted as wrongly refused. What cannot be asked stays counted. Does not know which operator took them off.
import type { Api } from '../enrollment/api.ts'
import type { Samples } from '../results/samples.ts'
import type { RunEvent } from '../results/summary.ts'
import type { Pool } from '../workers/pool.ts'
import type { Findings } from './outcome.ts'
import type { Participant } from './participants.ts'

type Refused = { device: string; group: string; saw: string }

export type Excuses = {
  look(refused: readonly Refused[]): void
  /** Waits for the answers, and takes what they excuse out of counts and findings. */
  settle(findings: Findings, samples: Samples): Promise<void>
}

/** The API is not flooded with questions while a fleet storms the broker. */
const DEVICES_MAX = 1_000

type Options = {
  api: Api | null
  members: readonly Participant[]
  pool: Pick<Pool, 'tell'>
  say(kind: RunEvent['kind'], text: string, good: boolean): void
}

export function createExcuses({ api, members, pool, say }: Options): Excuses {
  const byId = new Map(members.map(member => [member.id, member]))
  /** What each device saw how often, and whether it was off the roll. */
  const asked = new Map<string, { member: Participant; saw: Map<string, number>; isOff: Promise<boolean> }>()

  async function ask(member: Participant): Promise<boolean> {
    const off = await isOffTheRoll(api as Api, member).catch(() => false)
    if (!off) return false
    say('note', `${member.id} was taken off the roll by an operator; its refusals are expected`, true)
    const devices = [member.index]
    pool.tell({ do: 'expect', devices, expect: 'either', why: 'taken off', action: -1, answeredAt: null })
    return true
  }

  return {
    look(refused) {
      if (!api) return
      for (const { device, saw } of refused) {
        const member = byId.get(device)
        if (!member?.identity) continue
        let one = asked.get(device)
        if (!one) {
          if (asked.size >= DEVICES_MAX) continue
          one = { member, saw: new Map(), isOff: ask(member) }
          asked.set(device, one)
        }
        one.saw.set(saw, (one.saw.get(saw) ?? 0) + 1)
      }
    },
    async settle(findings, samples) {
      for (const [device, { member, saw, isOff }] of asked) {
        if (!(await isOff)) continue
        findings.wronglyRefused = findings.wronglyRefused.filter(one => one.device !== device)
        for (const [name, times] of saw) samples.excuse(member.group, name, times)
        saw.clear()
      }
    },
  }
}

const offStates = ['suspended', 'decommissioned']
const offStatuses = ['revoked', 'suspended', 'retired', 'lapsed', 'rejected']

async function isOffTheRoll(api: Api, { id, identity }: Participant): Promise<boolean> {
  const device = await api.call<{ state?: string }>('GET', `/v1/devices/${encodeURIComponent(id)}`)
  if (!device.problem && offStates.includes(device.body.state ?? '')) return true
  const answer = await api.call<{ status?: string }>('GET', `/v1/certificates/${identity?.fingerprint}`)
  return !answer.problem && offStatuses.includes(answer.body.status ?? '')
}
