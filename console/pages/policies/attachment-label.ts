// The label of an attachment, in a word or two.
import type { PolicyAttachment } from '../../../client/policy-types.ts'

export function attachmentLabel({ kind, target }: PolicyAttachment): string {
  if (kind === 'everyone') return 'everyone'
  return `${kind} ${kind === 'issuer' && target.length > 16 ? `${target.slice(0, 12)}…` : target}`
}
