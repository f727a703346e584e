// How a policy looks on the wire.
import type { Policy } from '../../db/policies/policy-reader.ts'
import type { PolicyDocument } from '../../policy/document.ts'
import { time } from '../http/api.ts'

export function toPolicyResponse({ document, updatedAt, ...policy }: Policy) {
  return { ...policy, updatedAt: time(updatedAt), document: JSON.parse(document) as PolicyDocument }
}
