// Statements bound to the values of one device: variables filled in, allows voided where a value is missing or unsafe.
// Pure. Decides nothing; rights, explanations and comparisons all stand on what is bound here.
import type { Action, PolicyDocument, Statement } from './document.ts'
import { parseFilter, type TopicFilter } from './topic-filter.ts'

export type QoS = 0 | 1 | 2

/** Values for the variables of a policy, such as `device.id`. Absent ones void an allow and make a deny refuse all. */
export type Variables = ReadonlyMap<string, string>

/** The holder of policies: a device with the certificate it connects with. */
export type Principal = { deviceId: string; issuerId: string | null; serialNumber: string }

/** What `${device.attested}` is where a TPM proved the key of the certificate; it has no value elsewhere. */
const ATTESTED = 'tpm'

/** The values of every variable for one holder. `attested`: a TPM proved the key of its certificate. */
export function variablesOf(
  holder: Principal,
  attributes: Readonly<Record<string, string>>,
  attested = false,
): Map<string, string> {
  const values = new Map([
    ['device.id', holder.deviceId],
    ['client.id', holder.deviceId], // strict binding: they are the same
    ['cert.cn', holder.deviceId], // compared at registration, then the registry's word counts
    ['cert.serial', holder.serialNumber],
    ['issuer.id', holder.issuerId ?? ''],
  ])
  if (attested) values.set('device.attested', ATTESTED)
  for (const [name, value] of Object.entries(attributes)) values.set(`device.attr.${name}`, value)
  return values
}

/** `filter` is null where a variable had no usable value; `missing` names those. */
type BoundTopic = {
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

/** The least that any of these policies says; `sessionExpiryMaxSeconds` is null where none says anything. */
export type Limits = { qosMax: QoS; sessionExpiryMaxSeconds: number | null }

export function limitsOf(policies: Iterable<PolicyDocument>): Limits {
  let qosMax: QoS = 2
  let sessionExpiryMaxSeconds: number | null = null
  for (const { limits } of policies) {
    if (limits?.qosMax !== undefined && limits.qosMax < qosMax) qosMax = limits.qosMax
    const most = limits?.sessionExpiryMaxSeconds
    if (most !== undefined && most < (sessionExpiryMaxSeconds ?? Number.POSITIVE_INFINITY))
      sessionExpiryMaxSeconds = most
  }
  return { qosMax, sessionExpiryMaxSeconds }
}

/** Whether `limits` leave less in any respect than `others` do. */
export function isNarrower(limits: Limits, others: Limits): boolean {
  const seconds = ({ sessionExpiryMaxSeconds }: Limits) => sessionExpiryMaxSeconds ?? Number.POSITIVE_INFINITY
  return limits.qosMax < others.qosMax || seconds(limits) < seconds(others)
}

export function bindStatements(policies: readonly PolicyDocument[], values: Variables): BoundStatement[] {
  const limits = limitsOf(policies)
  const bound: BoundStatement[] = []
  for (const policy of policies)
    for (let index = 0; index < policy.statements.length; index += 1)
      bound.push(bindStatement(policy, index, values, limits))
  return bound
}

/** The same of one policy, for a caller with other work between two statements. `limits` are those of all that hold. */
export function* boundOneByOne(
  policy: PolicyDocument,
  values: Variables,
  limits: Limits,
): Generator<BoundStatement, void> {
  for (const index of policy.statements.keys()) yield bindStatement(policy, index, values, limits)
}

function bindStatement(
  { name, statements }: PolicyDocument,
  index: number,
  values: Variables,
  limits: Limits,
): BoundStatement {
  const statement = statements[index]!
  const { effect, actions } = statement
  // A deny holds for every QoS: `qosMax` narrows what is allowed.
  const qosMax = effect === 'deny' ? 2 : (Math.min(statement.when?.qosMax ?? 2, limits.qosMax) as QoS)
  const topics = templatesOf(statement).map(template => bindTopic(template, values))
  return { policy: name, index, effect, actions, qosMax, topics }
}

/** The first deny that names a value which is missing or unsafe: nothing at all is allowed then. */
export function refusingAll(statements: readonly BoundStatement[]): BoundStatement | null {
  return (
    statements.find(
      ({ effect, topics }) => effect === 'deny' && topics.some(topic => topic.filter === null),
    ) ?? null
  )
}

/**
 * A topic as it is written: `texts` stand around `names`, so there is one more of them. `constant` is what it comes to for
 * every device where it names no variable.
 */
type Template = {
  written: string
  texts: readonly string[]
  names: readonly string[]
  constant: BoundTopic | null
}

/** Devices connect far more often than policies change, so each statement is taken apart once. */
const templates = new WeakMap<Statement, readonly Template[]>()

function templatesOf(statement: Statement): readonly Template[] {
  const known = templates.get(statement)
  if (known !== undefined) return known
  const made = statement.topics.map(takeApart)
  templates.set(statement, made)
  return made
}

function takeApart(written: string): Template {
  const parts = written.split(/\$\{([^}]*)\}/)
  const texts = parts.filter((_, index) => index % 2 === 0)
  const names = parts.filter((_, index) => index % 2 === 1)
  const template = { written, texts, names, constant: null }
  return names.length > 0 ? template : { ...template, constant: bindTopic(template, new Map()) }
}

function bindTopic({ written, texts, names, constant }: Template, values: Variables): BoundTopic {
  if (constant !== null) return constant
  const missing: string[] = []
  let bound = texts[0] ?? ''
  for (const [index, name] of names.entries()) {
    const value = values.get(name)
    if (value === undefined || !isSafeValue(value)) missing.push(name)
    bound += `${value ?? ''}${texts[index + 1]}`
  }
  const filter = missing.length > 0 ? null : parseFilter(bound)
  return { written, bound: filter === null ? null : bound, filter, missing }
}

/** A value may not change the shape of the filter it is put into. */
function isSafeValue(value: string): boolean {
  return value !== '' && !value.startsWith('$') && !/[/+#]/.test(value) && !value.includes('\0')
}
