// What is wrong with a CMP message: a problem that also has a PKIFailureInfo (RFC 9810 §5.2.3), so that the answer says it in both words.
import { Problem } from '../http/problem.ts'

/** The bits of PKIFailureInfo that are used here. */
export const failureBits = {
  badAlg: 0,
  badMessageCheck: 1,
  badRequest: 2,
  badCertId: 4,
  badDataFormat: 5,
  badPOP: 9,
  certRevoked: 10,
  certConfirmed: 11,
  badRecipientNonce: 13,
  badSenderNonce: 18,
  badCertTemplate: 19,
  signerNotTrusted: 20,
  transactionIdInUse: 21,
  unsupportedVersion: 22,
  notAuthorized: 23,
  systemUnavail: 24,
  systemFailure: 25,
} as const
export type FailureInfo = keyof typeof failureBits

export const cmpProblems = {
  cmp_message_refused: {
    status: 400,
    title: 'The CMP message is refused',
    hint: 'failInfo and statusString of the answer say why; docs/cmp.md has commands that work.',
  },
} as const

/** A message that is refused for what it is, whatever it asks for. */
export class CmpFault extends Problem<'cmp_message_refused'> {
  readonly failureInfo: FailureInfo

  constructor(failureInfo: FailureInfo, text: string) {
    super(cmpProblems, 'cmp_message_refused', text)
    this.name = 'CmpFault'
    this.failureInfo = failureInfo
  }
}

const ofReasons: Readonly<Record<string, FailureInfo>> = {
  csr_invalid: 'badRequest',
  key_unacceptable: 'badCertTemplate',
  csr_names_changed: 'badCertTemplate',
  device_id_missing: 'badCertTemplate',
  enrollment_token_refused: 'signerNotTrusted',
  enrollment_credential_missing: 'signerNotTrusted',
  admission_refused: 'signerNotTrusted',
  public_key_compromised: 'certRevoked',
}

/** The PKIFailureInfo of a problem of any feature. */
export function failureInfoOf(problem: Problem): FailureInfo {
  if (problem instanceof CmpFault) return problem.failureInfo
  const { status } = problem.definition
  const known = Object.hasOwn(ofReasons, problem.reason) ? ofReasons[problem.reason] : undefined
  if (known !== undefined) return known
  if (status === 503 || status === 429 || status === 507) return 'systemUnavail'
  if (status >= 500) return 'systemFailure'
  return status === 400 ? 'badRequest' : 'notAuthorized'
}
