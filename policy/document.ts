// The policy document: its shape, and every fault of a draft said at once.
import { parseFilter } from './topic-filter.ts'

export type Action = 'publish' | 'subscribe' | 'receive' | 'retain' | 'will'
export type Statement = {
  effect: 'allow' | 'deny'
  actions: Action[]
  topics: string[]
  when?: { qosMax?: 0 | 1 | 2 }
}
/** What no statement of any policy goes beyond, on a device that this one holds for. `sessionExpiryMaxSeconds` counts from its disconnection. */
type PolicyLimits = { qosMax?: 0 | 1 | 2; sessionExpiryMaxSeconds?: number }
export type PolicyDocument = { name: string; statements: Statement[]; limits?: PolicyLimits }
type PolicyProblem = { path: string; message: string }

export const actions: readonly Action[] = ['publish', 'subscribe', 'receive', 'retain', 'will']
/** `${device.attr.NAME}` besides. */
export const variables = [
  'device.id',
  'client.id',
  'cert.cn',
  'cert.serial',
  'issuer.id',
  'device.attested',
] as const

/** The most that Session Expiry Interval of MQTT 5 holds and that has an end. */
export const SESSION_EXPIRY_MAX_SECONDS = 0xffff_fffe
const STATEMENTS_MAX = 100
const TOPICS_MAX = 100
const NAME = /^[A-Za-z0-9._-]{1,64}$/
const VARIABLE = /\$\{([^}]*)\}/g

/** Gives the document, or all that is wrong with it. */
export function parsePolicy(input: unknown): { policy: PolicyDocument } | { faults: PolicyProblem[] } {
  const faults: PolicyProblem[] = []
  const fault = (path: string, message: string) => void faults.push({ path, message })
  if (!isRecord(input)) return { faults: [{ path: '', message: 'a policy is a JSON object' }] }
  refuseUnknown(input, ['name', 'statements', 'limits'], '', fault)
  if (typeof input['name'] !== 'string' || !NAME.test(input['name']))
    fault('name', '1 to 64 of A-Z a-z 0-9 . _ -')
  const statements = input['statements']
  if (!Array.isArray(statements) || statements.length > STATEMENTS_MAX) {
    fault('statements', `a list of at most ${STATEMENTS_MAX} statements`)
  } else {
    for (const [index, statement] of statements.entries()) {
      checkStatement(statement, `statements[${index}]`, fault)
    }
  }
  if (input['limits'] !== undefined) validateLimits(input['limits'], fault)
  return faults.length > 0 ? { faults } : { policy: input as PolicyDocument }
}

/** The same document with its members in one order, so that equal documents are equal texts. */
export function canonicalPolicy({ name, statements, limits = {} }: PolicyDocument): PolicyDocument {
  const { qosMax, sessionExpiryMaxSeconds } = limits
  const isLimited = qosMax !== undefined || sessionExpiryMaxSeconds !== undefined
  return {
    name,
    ...(isLimited && {
      limits: {
        ...(qosMax !== undefined && { qosMax }),
        ...(sessionExpiryMaxSeconds !== undefined && { sessionExpiryMaxSeconds }),
      },
    }),
    statements: statements.map(({ effect, actions: named, topics, when }) => ({
      effect,
      actions: named,
      topics,
      ...(when?.qosMax === undefined ? {} : { when: { qosMax: when.qosMax } }),
    })),
  }
}

type Fault = (path: string, message: string) => void

function checkStatement(input: unknown, path: string, fault: Fault): void {
  if (!isRecord(input)) {
    fault(path, 'a statement is a JSON object')
    return
  }
  refuseUnknown(input, ['effect', 'actions', 'topics', 'when'], path, fault)
  if (input['effect'] !== 'allow' && input['effect'] !== 'deny') fault(`${path}.effect`, 'allow or deny')
  const named = input['actions']
  if (!Array.isArray(named) || named.length === 0 || !named.every(action => actions.includes(action))) {
    fault(`${path}.actions`, `one or more of ${actions.join(', ')}`)
  }
  const topics = input['topics']
  if (!Array.isArray(topics) || topics.length === 0 || topics.length > TOPICS_MAX) {
    fault(`${path}.topics`, `1 to ${TOPICS_MAX} topic filters`)
  } else {
    for (const [index, topic] of topics.entries()) checkTopic(topic, `${path}.topics[${index}]`, fault)
  }
  const when = input['when']
  if (when === undefined) return
  if (!isRecord(when)) {
    fault(`${path}.when`, 'an object')
    return
  }
  refuseUnknown(when, ['qosMax'], `${path}.when`, fault)
  if (when['qosMax'] !== undefined && ![0, 1, 2].includes(when['qosMax'] as number)) {
    fault(`${path}.when.qosMax`, '0, 1 or 2')
  }
}

function validateLimits(input: unknown, fault: Fault): void {
  if (!isRecord(input)) {
    fault('limits', 'an object')
    return
  }
  refuseUnknown(input, ['qosMax', 'sessionExpiryMaxSeconds'], 'limits', fault)
  const { qosMax, sessionExpiryMaxSeconds: seconds } = input
  if (qosMax !== undefined && ![0, 1, 2].includes(qosMax as number)) fault('limits.qosMax', '0, 1 or 2')
  const isWhole = Number.isInteger(seconds) && (seconds as number) >= 0
  if (seconds !== undefined && (!isWhole || (seconds as number) > SESSION_EXPIRY_MAX_SECONDS))
    fault('limits.sessionExpiryMaxSeconds', `whole seconds from 0 to ${SESSION_EXPIRY_MAX_SECONDS}`)
}

function checkTopic(topic: unknown, path: string, fault: Fault): void {
  if (typeof topic !== 'string' || topic.length > 1024) {
    fault(path, 'a topic filter of at most 1024 characters')
    return
  }
  for (const [, name = ''] of topic.matchAll(VARIABLE)) {
    const known =
      (variables as readonly string[]).includes(name) || /^device\.attr\.[A-Za-z0-9._-]+$/.test(name)
    if (!known) fault(path, `no variable \${${name}}: use ${variables.join(', ')} or device.attr.NAME`)
  }
  if (parseFilter(topic.replaceAll(VARIABLE, 'x')) === null) {
    fault(path, 'not a topic filter: + and # stand alone in their level, # is last')
  }
}

function refuseUnknown(input: Record<string, unknown>, known: string[], path: string, fault: Fault): void {
  for (const key of Object.keys(input)) {
    if (!known.includes(key)) fault(path === '' ? key : `${path}.${key}`, 'unknown field')
  }
}

function isRecord(input: unknown): input is Record<string, unknown> {
  return typeof input === 'object' && input !== null && !Array.isArray(input)
}
