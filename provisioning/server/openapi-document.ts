// What the schemas of the routes cannot say of themselves, added to the OpenAPI document: names of operations, roles that may call
// them, problem documents as what they are, headers of answers, bodies that may be left out.
import { STATUS_CODES } from 'node:http'
import { ProblemDocument } from '../http/schemas.ts'
import { rightTo } from '../operators/access.ts'
import { problems } from './problem-list.ts'

// The document is plain JSON here: nothing is asked of it but where its parts are.
type Node = Record<string, unknown>

const PKCS10 = 'application/pkcs10'

const header = (description: string, type = 'string') => ({ description, schema: { type } })
const everyAnswer = {
  'x-request-id': header('The log and the audit rows name the same ID'),
  'ratelimit-limit': header('Requests a minute', 'integer'),
  'ratelimit-remaining': header('Requests left in this minute', 'integer'),
  'ratelimit-reset': header('Seconds until this minute ends', 'integer'),
}
const refusal = {
  description: 'A problem document (RFC 9457): its reason says why, its hint what to do',
  headers: { ...everyAnswer, 'retry-after': header('Seconds to wait, where waiting helps', 'integer') },
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
}
/** Named one by one: not every generator knows what 4XX is. */
const refusals = Object.fromEntries(
  [...new Set(Object.values(problems).map(({ status }) => status))].map(status => [
    status,
    { $ref: '#/components/responses/Problem' },
  ]),
)

/** Gives a new document; what was given stays as it was. */
export function finishedDocument(document: Node): Node {
  const paths = Object.entries(document['paths'] as Record<string, Record<string, Node>>).map(
    ([path, methods]) => [path, mapped(methods, (operation, method) => finished(operation, method, path))],
  )
  const components = document['components'] as Node
  const schemas = { ...(components['schemas'] as Node), Problem: ProblemDocument }
  const responses = { Problem: refusal }
  return { ...document, paths: Object.fromEntries(paths), components: { ...components, schemas, responses } }
}

function finished(operation: Node, method: string, path: string): Node {
  const url = path.replace(/\{(\w+)\}/g, ':$1')
  const right = rightTo(method.toUpperCase(), url)
  const grants = 'role' in right ? { 'x-role': right.role, 'x-bound-to-a-group': right.scope } : {}
  const { requestBody, responses, ...rest } = operation
  return {
    operationId: operationId(method, path),
    ...rest,
    ...grants,
    ...(requestBody === undefined ? {} : { requestBody: finishedBody(requestBody as Node) }),
    responses: { ...finishedAnswers(responses as Record<string, Node>, path), ...refusals },
  }
}

/** `postDevicesByIdSuspend`: stable as long as the route is. */
function operationId(method: string, path: string): string {
  const words = path.split(/[/.-]/).filter(word => word !== '' && word !== 'v1')
  const named = words.map(word => (word.startsWith('{') ? `By${capital(word.slice(1, -1))}` : capital(word)))
  return method + named.join('')
}

/** A body that may be null may be left out; one in DER is bytes, whatever it is read into. */
function finishedBody({ content, ...body }: Node): Node {
  let required = true
  const media = mapped(content as Record<string, Node>, ({ schema }, type) => {
    if (type === PKCS10) return { schema: { type: 'string', format: 'binary' } }
    const { anyOf, ...others } = schema as { anyOf?: Node[] }
    const given = anyOf?.filter(choice => choice['type'] !== 'null')
    if (anyOf === undefined || given?.length === anyOf.length) return { schema }
    required = false
    return { schema: given?.length === 1 ? { ...others, ...given[0] } : { ...others, anyOf: given } }
  })
  return { ...body, required, content: media }
}

function finishedAnswers(answers: Record<string, Node>, path: string): Record<string, Node> {
  // RFC 7030 §4.1.3, §4.2.3, §4.5.2: base64 of DER, and of nothing that JSON could hold.
  const type = path.endsWith('/csrattrs') ? 'application/csrattrs' : 'application/pkcs7-mime'
  const est = path.startsWith('/.well-known/est/')
    ? { content: { [type]: { schema: { type: 'string' } } } }
    : {}
  const given = Object.entries(answers).filter(([status]) => /^[123]/.test(status))
  return mapped(Object.fromEntries(given), (answer, status) => ({
    ...answer,
    ...est,
    description: STATUS_CODES[status] ?? 'Done',
    headers: everyAnswer,
  }))
}

function mapped<In, Out>(
  object: Record<string, In>,
  change: (value: In, key: string) => Out,
): Record<string, Out> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value, key)]))
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1)
}
