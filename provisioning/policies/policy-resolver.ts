// What policies come to for a device, today and under a draft: effective statements and simulation.
// Reads the record and asks `policy/`; changes nothing.
import type { PolicyHolder, PolicyReader } from '../../db/policies/policy-reader.ts'
import { type BoundStatement, refusingAll } from '../../policy/binding.ts'
import type { PolicyDocument } from '../../policy/document.ts'
import { type Decision, explainRight, type Question } from '../../policy/explanation.ts'
import { createTimeSlices, type TimeSlices } from '../time-slices.ts'
import { bind, limitsIn, policiesThrough, policySnapshot, valuesOf } from './policy-snapshot.ts'

export type PolicyResolver = ReturnType<typeof createPolicyResolver>

/** Questions about one device at once. */
const QUESTIONS = { sliceMs: 2, workMax: 256 }

export function createPolicyResolver(
  reader: PolicyReader,
  questions: TimeSlices = createTimeSlices(QUESTIONS),
) {
  return {
    effective: (holder: PolicyHolder, gone?: () => boolean) => questions.run(effective(reader, holder), gone),

    /** Judges the draft as if it held for the device, whether it is attached or not. */
    simulate(holder: PolicyHolder, draft: PolicyDocument, asked: readonly Question[], gone?: () => boolean) {
      return questions.run(simulation(reader, holder, draft, asked), gone)
    },
  }
}

function* effective(reader: PolicyReader, holder: PolicyHolder) {
  const now = policySnapshot(reader)
  const held = policiesThrough(now, holder)
  const statements = yield* bind(now.documents, held.keys(), holder)
  const refusal = refusingAll(statements)
  return {
    deviceId: holder.deviceId,
    certificate: holder.certificate?.fingerprint ?? null,
    policies: [...held].map(([name, attachments]) => ({ name, through: attachments })),
    variables: Object.fromEntries(valuesOf(holder)),
    refused:
      refusal === null
        ? null
        : {
            policy: refusal.policy,
            statement: refusal.index,
            topic: refusal.topics.find(({ filter }) => filter === null)?.written ?? '',
          },
    limits: limitsIn(now.documents, held.keys()),
    statements: statements.map(({ index, topics, ...statement }) => ({
      ...statement,
      actions: [...statement.actions],
      statement: index,
      topics: topics.map(({ written, bound, missing }) => ({ written, bound, missing: [...missing] })),
    })),
  }
}

function* simulation(
  reader: PolicyReader,
  holder: PolicyHolder,
  draft: PolicyDocument,
  questions: readonly Question[],
) {
  const now = policySnapshot(reader)
  const names = new Set(policiesThrough(now, holder).keys())
  const before = yield* bind(now.documents, names, holder)
  const documents = { get: (name: string) => (name === draft.name ? draft : now.documents.get(name)) }
  const drafted = new Set([...names, draft.name])
  const after = yield* bind(documents, drafted, holder)
  const decide = function* (statements: readonly BoundStatement[], question: Question) {
    yield
    return explainRight(statements, question)
  }
  const results: (Question & { now: Decision; draft: Decision })[] = []
  for (const question of questions) {
    results.push({
      ...question,
      now: yield* decide(before, question),
      draft: yield* decide(after, question),
    })
  }
  return {
    deviceId: holder.deviceId,
    certificate: holder.certificate?.fingerprint ?? null,
    holds: names.has(draft.name),
    limits: { now: limitsIn(now.documents, names), draft: limitsIn(documents, drafted) },
    results,
  }
}
