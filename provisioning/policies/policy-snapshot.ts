// The policies of the record at one moment, and which of them hold for a device. Documents are parsed when they are needed.
import type { PolicyHolder, PolicyReader } from '../../db/policies/policy-reader.ts'
import type { Attachment } from '../../db/policies/policy-store.ts'
import {
  type BoundStatement,
  boundOneByOne,
  type Limits,
  limitsOf,
  variablesOf,
} from '../../policy/binding.ts'
import type { PolicyDocument } from '../../policy/document.ts'

type PolicyDocuments = { get(name: string): PolicyDocument | undefined }
/** `attached` are the names of policies by `kind target`. */
export type PolicySnapshot = { documents: PolicyDocuments; attached: ReadonlyMap<string, readonly string[]> }

export function policySnapshot(reader: PolicyReader): PolicySnapshot {
  const { documents: texts, attached } = reader.snapshot()
  const parsed = new Map<string, PolicyDocument>()
  const get = (name: string) => {
    const text = texts.get(name)
    if (text !== undefined && !parsed.has(name)) parsed.set(name, JSON.parse(text) as PolicyDocument)
    return parsed.get(name)
  }
  return { documents: { get }, attached }
}

/** The policies that hold for a device, each with what it holds through. */
export function policiesThrough(
  { attached }: Pick<PolicySnapshot, 'attached'>,
  holder: PolicyHolder,
): Map<string, Attachment[]> {
  const found = new Map<string, Attachment[]>()
  for (const attachment of attachmentsOf(holder)) {
    for (const name of attached.get(`${attachment.kind} ${attachment.target}`) ?? []) {
      const through = found.get(name)
      if (through === undefined) found.set(name, [attachment])
      else through.push(attachment)
    }
  }
  return found
}

/** What these policies limit together. */
export function limitsIn(documents: PolicyDocuments, names: Iterable<string>): Limits {
  return limitsOf([...names].flatMap(name => documents.get(name) ?? []))
}

/** The statements of these policies for a device, a statement in a step: a document may have ten thousand topics. */
export function* bind(
  documents: PolicyDocuments,
  names: Iterable<string>,
  holder: PolicyHolder,
): Generator<void, BoundStatement[]> {
  const values = valuesOf(holder)
  const bound: BoundStatement[] = []
  const held: PolicyDocument[] = []
  for (const name of names) {
    const document = documents.get(name)
    if (document !== undefined) held.push(document)
    yield
  }
  const limits = limitsOf(held)
  for (const document of held) {
    for (const statement of boundOneByOne(document, values, limits)) {
      bound.push(statement)
      yield
    }
  }
  return bound
}

export function valuesOf({ deviceId, attributes, certificate }: PolicyHolder): Map<string, string> {
  const { issuerId = null, serialNumber = '', attested = false } = certificate ?? {}
  return variablesOf({ deviceId, issuerId, serialNumber }, attributes, attested)
}

function attachmentsOf({ deviceId, groups, certificate }: PolicyHolder): Attachment[] {
  return [
    { kind: 'everyone', target: '' },
    { kind: 'device', target: deviceId },
    ...groups.map((target): Attachment => ({ kind: 'group', target })),
    ...(certificate?.issuerId ? [{ kind: 'issuer' as const, target: certificate.issuerId }] : []),
  ]
}
