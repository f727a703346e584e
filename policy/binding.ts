// Statements bound to the values of one device: variables filled in, allows voided where a value is missing or unsafe.
// Pure. Decides nothing; rights, explanations and comparisons all stand on what is bound here.
import type { Action, PolicyDocument, Statement } from './document.ts'
import { parseFilter, type TopicFilter } from './topic-filter.ts'

export type QoS = 0 | 1 | 2

/** Values for the variables of a policy, such as `device.id`. Absent ones void an allow and make a deny refuse all. */
export type Variables = ReadonlyMap<string, string>

/** Whose policies are bound: a device with the certificate it connects with. */
export type Holder = { deviceId: string; issuerId: string | null; serialNumber: string }

/** The values of every variable for one holder. */
export function variablesOf(
  holder: Holder,
  attributes: Readonly<Record<string, string>>,
): Map<string, string> {
  const values = new Map([
    ['device.id', holder.deviceId],
    ['client.id', holder.deviceId], // strict binding: they are the same
    ['cert.cn', holder.deviceId], // compared at registration, then the registry's word counts
    ['cert.serial', holder.serialNumber],
    ['issuer.id', holder.issuerId ?? ''],
  ])
  for (const [name, value] of Object.entries(attributes)) values.set(`device.attr.${name}`, value)
  return values
}

/** `filter` is null where a variable had no usable value; `missing` names those. */
export type BoundTopic = {
  written: string
  bound: string | null
  filter: TopicFilter | null
  missing: readonly string[]
}

/** `index` counts the statements of its policy from 0. */
export type BoundStatement = {
  policy: string
  index: number
  effect: Statement['effect']
  actions: readonly Action[]
  qosMax: QoS
  topics: readonly BoundTopic[]
}

export function bindStatements(policies: readonly PolicyDocument[], values: Variables): BoundStatement[] {
  return policies.flatMap(policy =>
    policy.statements.map((statement, index) => ({
      policy: policy.name,
      index,
      effect: statement.effect,
      actions: statement.actions,
      // A deny holds for every QoS: `qosMax` narrows what is allowed.
      qosMax: statement.effect === 'deny' ? 2 : (statement.when?.qosMax ?? 2),
      topics: statement.topics.map(topic => bindTopic(topic, values)),
    })),
  )
}

/** The first deny that names a value which is missing or unsafe: nothing at all is allowed then. */
export function refusingAll(statements: readonly BoundStatement[]): BoundStatement | null {
  return (
    statements.find(
      ({ effect, topics }) => effect === 'deny' && topics.some(topic => topic.filter === null),
    ) ?? null
  )
}

function bindTopic(written: string, values: Variables): BoundTopic {
  if (!written.includes('${')) {
    return { written, bound: written, filter: parseFilter(written), missing: [] }
  }
  const missing: string[] = []
  const bound = written.replaceAll(/\$\{([^}]*)\}/g, (_, name: string) => {
    const value = values.get(name)
    if (value === undefined || !isSafeValue(value)) missing.push(name)
    return value ?? ''
  })
  const filter = missing.length > 0 ? null : parseFilter(bound)
  return { written, bound: filter === null ? null : bound, filter, missing }
}

/** A value may not change the shape of the filter it is put into. */
function isSafeValue(value: string): boolean {
  return value !== '' && !value.startsWith('$') && !/[/+#]/.test(value) && !value.includes('\0')
}
