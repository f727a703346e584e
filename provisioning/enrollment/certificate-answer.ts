// How an issued certificate is sent: JSON, the bare chain in PEM, or the leaf in DER, as the caller can read it.
import type { FastifyReply, FastifyRequest } from 'fastify'
import type * as schemas from '../http/schemas.ts'
import { isPkcs10 } from '../x509/pkcs10-body.ts'

const DER = 'application/pkix-cert'
const PEM = 'application/pem-certificate-chain'

/** A bare request is answered by a bare certificate, unless JSON is asked for. */
export function sendCertificate(
  request: FastifyRequest,
  reply: FastifyReply,
  der: Buffer,
  answer: schemas.CertificateWithPem,
) {
  const accept = request.headers.accept ?? ''
  if (accept.includes(DER)) return reply.type(DER).send(der)
  const bare = isPkcs10(request.headers['content-type']) && !accept.includes('application/json')
  if (accept.includes(PEM) || bare)
    return reply.type(PEM).send([answer.certificate, ...answer.chain].join(''))
  return reply.send(answer)
}
