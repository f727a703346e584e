// Does what a row asks for, by the verbs that an operator's single requests use: nothing here writes around them.
// Run again it finds its work done: the same row with the same CSR has the same certificate.
import type { Actor } from '../../db/audit/audit.ts'
import type { RegistryWriter } from '../../db/index.ts'
import type { ImportLookup } from '../../db/jobs/import-lookup.ts'
import { asRegistryError, RegistryError } from '../../db/registry-error.ts'
import { Conflict } from '../../db/transact.ts'
import { certificateFacts } from '../../pki/certificate-facts.ts'
import type { RegistrationAuthority } from '../enrollment/registration-authority.ts'
import type { CsrReader } from '../x509/csr-pool.ts'
import type { ValidatedRow } from './intake.ts'
import { type Evidence, type Plan, planRow, type Refusal, refused } from './plan.ts'
import type { Row } from './row.ts'
import type { RowFault, RowReason } from './row-fault.ts'
import type { SeenDevices } from './seen-devices.ts'

export const outcomes = ['registered', 'enrolled', 'listed', 'changed', 'unchanged', 'refused'] as const
/**
 * `registered` a device is new on the roll · `enrolled` its CSR has a certificate · `listed` a certificate of somebody
 * else is on the roll · `changed` only its state or endorsement key was set · `unchanged` all of it was so before
 */
export type Outcome = (typeof outcomes)[number]
export type RowResult = {
  row: number
  line: number
  deviceId: string | null
  outcome: Outcome
  /** Of the certificate that the row is about. */
  fingerprint?: string
  reason?: string
  detail?: string
}

type ChunkImporterParts = {
  writer: Pick<RegistryWriter, 'addDevice' | 'setDeviceState' | 'setEndorsementKey'>
  authority: Pick<RegistrationAuthority, 'enroll' | 'register' | 'validate'>
  readCsr: CsrReader['read']
  lookup: ImportLookup
  deviceDays: number
  now: () => number
  /** The service failed at this row, as often as it tries. */
  onRowFailed(row: number, error: unknown): void
}
/**
 * What the chunks of one run share: the public keys that its rows have asked for, and the turn of the chunk before, since
 * rows are planned in the order of the file, however long one takes to read.
 */
export type ImportRun = { actor: Actor; dryRun: boolean; keys: SeenDevices; validated: Promise<unknown> }
export type ChunkImporter = (rows: readonly ValidatedRow[], run: ImportRun) => Promise<RowResult[]>

/** How often a row is tried that the service fails at. */
const ATTEMPTS_MAX = 3

/** Throws a `RegistryError` where the registry is out. Whatever else fails is the result of the row that it fails at. */
export function createChunkImporter(parts: ChunkImporterParts): ChunkImporter {
  const { writer, authority, lookup, now } = parts

  /** The work for one row: tried again where it fails, and in the end the row's own failure. */
  async function attempted<T>(
    { number, line, ...validated }: ValidatedRow,
    work: (attempt: number) => T | Promise<T>,
  ) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work(attempt)
      } catch (error) {
        if (asRegistryError(error) instanceof RegistryError) throw error
        if (attempt < ATTEMPTS_MAX) continue
        parts.onRowFailed(number, error)
        const deviceId = 'row' in validated ? validated.row.deviceId : null
        return { row: number, line, deviceId, outcome: 'refused', ...failed } as const
      }
    }
  }

  async function evidenceOf(row: Row): Promise<Evidence> {
    const certificates = (row.certificates ?? []).map(async ({ certificate, trust = 'chained' }) => {
      const verdict = await authority.validate({ deviceId: row.deviceId, certificate, trust })
      return { ...verdict, ...namesOf(certificate) }
    })
    return {
      csr: row.csr === undefined ? null : await parts.readCsr(row.csr),
      certificates: await Promise.all(certificates),
    }
  }

  /** Gives the certificate that came of it. */
  async function carryOut(
    plan: Plan,
    row: Row,
    evidence: Evidence,
    actor: Actor,
  ): Promise<string | Refusal | null> {
    const { deviceId, attributes = {}, groups = [] } = row
    let fingerprint: string | null = plan.issued
    if (plan.add) await writer.addDevice({ id: deviceId, attributes, groups }, actor)
    if (plan.endorsementKey !== null) await writer.setEndorsementKey(deviceId, plan.endorsementKey, actor)
    for (const index of plan.list) {
      const { certificate, trust = 'chained' } = row.certificates![index]!
      const outcome = await authority.register({ deviceId, certificate, trust }, actor)
      if (typeof outcome !== 'string') return refused(outcome)
      fingerprint = outcome
    }
    if (plan.enroll && evidence.csr !== null) {
      const days = row.days ?? parts.deviceDays
      const outcome = await authority.enroll({ deviceId, csr: evidence.csr, days }, actor)
      if (typeof outcome !== 'string') return refused(outcome)
      fingerprint = outcome
    }
    if (plan.state !== null) await writer.setDeviceState(deviceId, plan.state, actor)
    return fingerprint
  }

  /** What there is to do for a row; a result where that is nothing. */
  function plan(validated: ValidatedRow, evidence: Evidence | null, run: ImportRun): Task | RowResult {
    const { number, line } = validated
    if ('fault' in validated || evidence === null) {
      const { deviceId = null, ...fault } = 'fault' in validated ? validated.fault : malformed
      return { row: number, line, deviceId, outcome: 'refused', ...fault }
    }
    const { row } = validated
    const at = { row: number, line, deviceId: row.deviceId }
    const plan = planRow(row, evidence, lookup, now())
    if ('reason' in plan) return { ...at, outcome: 'refused', ...plan }
    const taken = takenInFile(plan, evidence, number, run.keys)
    if (taken !== null) return { ...at, outcome: 'refused', ...taken }
    return { at, row, plan, evidence }
  }

  async function finish(task: Task | RowResult, { dryRun, actor }: ImportRun): Promise<RowResult> {
    if ('outcome' in task) return task
    const { at, row, plan, evidence } = task
    try {
      const done = dryRun ? plan.issued : await carryOut(plan, row, evidence, actor)
      if (done !== null && typeof done === 'object') return { ...at, outcome: 'refused', ...done }
      const fingerprint = done ?? evidence.certificates[0]?.fingerprint
      return { ...at, outcome: outcomeOf(plan), ...(fingerprint === undefined ? {} : { fingerprint }) }
    } catch (error) {
      if (!(error instanceof Conflict)) throw error
      return { ...at, outcome: 'refused', reason: error.code, detail: error.message }
    }
  }

  return async (rows, run) => {
    const before = run.validated
    const turn = Promise.withResolvers<void>()
    run.validated = turn.promise
    try {
      const evidence = await Promise.all(
        rows.map(validated =>
          'row' in validated ? attempted(validated, () => evidenceOf(validated.row)) : null,
        ),
      )
      await before
      const tasks: (Task | RowResult)[] = []
      for (const [index, validated] of rows.entries()) {
        const found = evidence[index] ?? null
        const isResult = found !== null && 'outcome' in found
        tasks.push(isResult ? found : await attempted(validated, () => plan(validated, found, run)))
      }
      turn.resolve()
      return await Promise.all(
        tasks.map((task, index) => {
          const validated = rows[index]!
          // Part of it may have been done: what is left to do is asked anew.
          const again = () => plan(validated, evidence[index] as Evidence | null, run)
          return attempted(validated, attempt => finish(attempt === 1 ? task : again(), run))
        }),
      )
    } finally {
      turn.resolve()
    }
  }
}

const malformed: RowFault = { reason: 'row_malformed', detail: 'it is no row' }
const failed: { reason: RowReason; detail: string } = {
  reason: 'row_failed',
  detail: 'the service failed at this row, and went on with the next: its log says at what',
}

type Task = { at: { row: number; line: number; deviceId: string }; row: Row; plan: Plan; evidence: Evidence }

/** A key that another row of the file has, which may not be on record yet. */
function takenInFile(plan: Plan, evidence: Evidence, number: number, keys: SeenDevices): Refusal | null {
  const asked = plan.list.map(index => evidence.certificates[index]!.spkiHash)
  if (plan.enroll && evidence.csr?.accepted) asked.push(evidence.csr.key.spkiHash)
  for (const spkiHash of asked) {
    const first = keys.firstRow(spkiHash, number)
    if (first !== null && first !== number)
      return { reason: 'public_key_taken', detail: `row ${first} has this public key, for another device` }
  }
  return null
}

function outcomeOf(plan: Plan): Outcome {
  if (plan.enroll) return 'enrolled'
  if (plan.list.length > 0) return 'listed'
  if (plan.add) return 'registered'
  return plan.state === null && plan.endorsementKey === null ? 'unchanged' : 'changed'
}

/** Empty where the text is no certificate: the verdict on it says so. */
function namesOf(pem: string): { fingerprint: string; spkiHash: string } {
  try {
    const { fingerprint, spkiHash } = certificateFacts(pem)
    return { fingerprint, spkiHash }
  } catch {
    return { fingerprint: '', spkiHash: '' }
  }
}
