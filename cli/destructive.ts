// Verbs that cut, end or delete: on a terminal they ask first, and name what they end. One table, so that none is forgotten.
import type { Command } from 'commander'
import { confirm, withYes } from './confirmation.ts'

/** By the words of the command: what it does, said before the names of what it does it to. */
export const destructive: Readonly<Record<string, string>> = {
  'node drain': 'end all sessions of the broker, and have it take none until it is resumed:',
  'job cancel': 'cancel the import',
  'certificate revoke': 'revoke for good, and cut the sessions of,',
  'certificate suspend': 'refuse until it is activated, and cut the sessions of,',
  'certificate reject': 'reject for good',
  'enrollment-token revoke': 'revoke the enrollment token',
  'claim revoke': 'revoke the claim',
  'issuer disable': 'refuse every certificate of this issuer, and cut its sessions:',
  'issuer retire': 'end the former certificate of the anchor:',
  'issuer remove': 'remove the trust anchor',
  'ca retire': 'end for good the issuing CA',
  'policy delete': 'delete the policy',
  'policy detach': 'take from its holders the policy',
  'api-token revoke': 'revoke the API token',
  'operator revoke': 'revoke the operator',
  'webhook remove': 'remove the webhook',
  'audit accept': 'accept that the audit log is shorter than its checkpoint',
}

export function askFirst(command: Command, path: string): void {
  const doing = Object.hasOwn(destructive, path) ? destructive[path]! : null
  if (doing === null) return
  withYes(command)
  command.hook('preAction', () => confirm(doing, command.args, command.opts()['yes']))
}
