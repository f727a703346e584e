// The moves of a certificate that an operator makes besides revoking: hold it and let it go again, approve or reject it.
import { actorOf } from '../authentication.ts'
import * as schemas from '../schemas.ts'
import { type Api, callerOf, refusals, type Services, secured } from './context.ts'

export function certificateMoveRoutes(api: Api, { writer, receipt, events }: Services): void {
  const moves = {
    suspend: {
      status: 'suspended',
      move: writer.suspendCertificate,
      summary: 'Hold a certificate: its sessions are cut, and it is refused until it is activated again',
    },
    activate: { status: 'active', move: writer.activateCertificate, summary: 'Let a held certificate go' },
    approve: {
      status: 'active',
      move: writer.approveCertificate,
      summary: 'Approve a certificate that waits for it',
    },
    reject: {
      status: 'rejected',
      move: writer.rejectCertificate,
      summary: 'Reject a certificate that waits for approval, for good',
    },
  } as const

  for (const [verb, { status, move, summary }] of Object.entries(moves)) {
    api.post(
      `/v1/certificates/:fingerprint/${verb}`,
      {
        config: { role: 'operator' },
        schema: {
          tags: ['certificates'],
          security: secured,
          summary,
          description:
            'Answers when every broker acted on it, or after 2 s with those that did not. The same again changes nothing.',
          params: schemas.CertificateParams,
          querystring: schemas.NoQuery,
          body: schemas.NoBody,
          response: { 200: schemas.CertificateReceipt, ...refusals },
        },
      },
      async request => {
        const { fingerprint } = request.params
        const epoch = await move(fingerprint, actorOf(request))
        events.certificateMoved(callerOf(request), fingerprint, status)
        return { ...(await receipt(epoch)), fingerprint, status }
      },
    )
  }
}
