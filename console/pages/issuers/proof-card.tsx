// Whether it is proven that the CA's key is held: a number to sign, and what was signed. Without it devices cannot register themselves.
import { type FormEvent, useState } from 'react'
import type { IssuerChallenge, IssuerDetail, IssuerProof } from '../../../client/issuers.ts'
import { change } from '../../api/request.ts'
import { useMay } from '../../api/session.tsx'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PemField } from '../../components/pem-field.tsx'
import { TextBlock } from '../../components/text-block.tsx'
import { Timestamp } from '../../components/timestamp.tsx'

export function ProofCard({
  path,
  anchor: { provenAt },
  onDone,
}: {
  path: string
  anchor: NonNullable<IssuerDetail['anchor']>
  onDone: () => void
}) {
  const [challenge, setChallenge] = useState<IssuerChallenge | null>(null)
  const [certificate, setCertificate] = useState('')
  const [failure, setFailure] = useState<unknown>(null)
  const may = useMay('admin')
  const attempt = async (work: () => Promise<void>) => {
    setFailure(null)
    await work().catch(setFailure)
  }
  const ask = () =>
    attempt(async () => setChallenge(await change<IssuerChallenge>('POST', `${path}/challenge`)))
  const prove = (event: FormEvent) => {
    event.preventDefault()
    void attempt(async () => {
      await change<IssuerProof>('POST', `${path}/proof`, { certificate })
      setChallenge(null)
      onDone()
    })
  }
  return (
    <Card
      title="Proof of its key"
      aside={provenAt === null ? <Badge tone="warn">not proven</Badge> : <Badge tone="good">proven</Badge>}
    >
      {provenAt === null ? (
        <p className="soft small">
          Anybody can name a CA's certificate. Devices may register themselves under it once its key has
          signed a number of this service.
        </p>
      ) : (
        <p className="soft small">
          Proven <Timestamp at={provenAt} />.
        </p>
      )}
      {may && provenAt === null && challenge === null ? (
        <div className="row">
          <Button onClick={() => void ask()}>Get a number to sign</Button>
        </div>
      ) : null}
      {challenge === null ? null : (
        <form className="stack" onSubmit={prove}>
          <p className="soft small">
            Sign a certificate with this common name, until <Timestamp at={challenge.expiresAt} />:
          </p>
          <TextBlock
            label="Commands"
            text={[
              `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout proof.key -out proof.csr -subj /CN=${challenge.nonce}`,
              'openssl x509 -req -in proof.csr -CA maker-ca.crt -CAkey maker-ca.key -CAcreateserial -days 1 -out proof.crt',
            ].join('\n')}
          />
          <PemField label="What it signed (PEM)" value={certificate} onChange={setCertificate} />
          <div className="row">
            <Button type="submit" look="primary" disabled={certificate.trim() === ''}>
              Prove
            </Button>
          </div>
        </form>
      )}
      <FailureNotice failure={failure} />
    </Card>
  )
}
