// MQTT topics and filters as NATS subjects, reversible for every topic: which subject a topic has, and which subjects match a filter.
// Pure. Knows no connection.

export type TopicForm = { separator: string; wildcardOne: string; wildcardSome: string }

export const mqttForm: TopicForm = { separator: '/', wildcardOne: '+', wildcardSome: '#' }

/** An empty level, where NATS allows no empty token. */
const EMPTY = '='
/** The token behind the last level: with it `a/#` is `a.>`, which matches `a` too, as MQTT has it [MQTT-4.7.1-2]. */
const END = '=e'
/** Units of UTF-16 that no token can hold, `=` with which they are written, and halves of surrogate pairs, which UTF-8 cannot hold. */
const RESERVED =
  /[\s.*>=\0-\x20\x7f-\x9f]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g
const ESCAPED = /=([0-9a-f]{4})/g
/** Bytes of a subject: a line of the protocol, with subject, reply and sizes, ends at 4,096 (max_control_line of nats-server). */
const SUBJECT_BYTES_MAX = 2_048

/**
 * The subject of a topic below `prefix`. Topics that begin with `$` have a tree of their own, so that no wildcard at the beginning of a
 * filter reaches them [MQTT-4.7.2-1]. A topic too long for a subject has null: see `longSubject`.
 */
export function subjectOf(prefix: string, topic: string, { separator } = mqttForm): string | null {
  const subject = `${treeOf(prefix, topic)}.${topic.split(separator).map(tokenOf).join('.')}.${END}`
  return Buffer.byteLength(subject) > SUBJECT_BYTES_MAX ? null : subject
}

/** Where all topics go that are too long. What comes on it tells its topic itself. */
export function longSubject(prefix: string): string {
  return `${prefix}.l`
}

/** The topic of a subject below `prefix`; null where `subjectOf` gives no such subject. */
export function topicOf(prefix: string, subject: string, form = mqttForm): string | null {
  if (!subject.startsWith(`${prefix}.`) || !subject.endsWith(`.${END}`)) return null
  const [tree, ...tokens] = subject.slice(prefix.length + 1, -END.length - 1).split('.')
  if (tokens.length === 0) return null
  const topic = tokens.map(levelOf).join(form.separator)
  return (tree === 't' || tree === 's') && subjectOf(prefix, topic, form) === subject ? topic : null
}

/**
 * The subjects to subscribe to for a filter: what matches it, and only where it may match a topic that is too long, those as well.
 * Each wildcard of MQTT has its like in NATS, so that nothing else comes.
 */
export function subjectsFor(prefix: string, filter: string, form = mqttForm): string[] {
  const { separator, wildcardOne, wildcardSome } = form
  const levels = filter.split(separator)
  const isOpen = levels.at(-1) === wildcardSome
  if (isOpen) levels.pop()
  const isWild = isOpen || levels.includes(wildcardOne)
  const tokens = levels.map(level => (level === wildcardOne ? '*' : tokenOf(level)))
  const subject = [treeOf(prefix, filter), ...tokens, isOpen ? '>' : END].join('.')
  const fits = Buffer.byteLength(subject) <= SUBJECT_BYTES_MAX
  if (fits) return isWild ? [subject, longSubject(prefix)] : [subject]
  return [longSubject(prefix)]
}

function treeOf(prefix: string, topic: string): string {
  return `${prefix}.${topic.charCodeAt(0) === 36 ? 's' : 't'}`
}

function tokenOf(level: string): string {
  if (level === '') return EMPTY
  return level.replace(RESERVED, unit => `=${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function levelOf(token: string): string {
  if (token === EMPTY) return ''
  return token.replace(ESCAPED, (_, unit: string) => String.fromCharCode(Number.parseInt(unit, 16)))
}
