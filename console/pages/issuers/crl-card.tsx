// The CRL of a trust anchor that is in force, whether it is late, and where newer ones come from.
import { type FormEvent, useState } from 'react'
import type { CrlReceipt, IssuerCrl } from '../../../client/issuers.ts'
import { change, upload } from '../../api/request.ts'
import { useMay } from '../../api/session.tsx'
import { useQuery } from '../../api/use-query.ts'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Field } from '../../components/field.tsx'
import { FileDrop } from '../../components/file-drop.tsx'
import { FailureNotice, Notice } from '../../components/notice.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { count, many } from '../../labels/formats.ts'

const BYTES_MAX = 16 * 1024 * 1024

export function CrlCard({ path }: { path: string }) {
  const { data, failure, loading, refetch } = useQuery<IssuerCrl>(`${path}/crl`)
  const [unread, setUnread] = useState<unknown>(null)
  const [url, setUrl] = useState<string | null>(null)
  const [done, setDone] = useState<string | null>(null)
  const operates = useMay('operator')
  const may = useMay('admin')

  const attempt = async (work: () => Promise<CrlReceipt | IssuerCrl>) => {
    setUnread(null)
    setDone(null)
    try {
      const answer = await work()
      const receipt = 'receipt' in answer ? answer.receipt : null
      setDone(
        receipt === null
          ? 'Nothing changed for any session.'
          : `Cut ${many(receipt.sessionsCut, 'session')}.`,
      )
      refetch()
    } catch (error) {
      setUnread(error)
    }
  }
  const read = (file: File) =>
    attempt(async () => {
      if (file.size > BYTES_MAX) throw new Error(`${file.name} is too large for a CRL`)
      const begin = await file.slice(0, 11).text()
      return begin.startsWith('-----BEGIN')
        ? change<CrlReceipt>('PUT', `${path}/crl`, { crl: await file.text() })
        : upload<CrlReceipt>(`${path}/crl`, file, 'application/pkix-crl', 'PUT')
    })
  const setSource = (event: FormEvent) => {
    event.preventDefault()
    const wanted = (url ?? '').trim()
    void attempt(() =>
      change<IssuerCrl>('PUT', `${path}/crl/source`, { url: wanted === '' ? null : wanted }),
    ).then(() => setUrl(null))
  }
  if (data === null)
    return (
      <Card title="Its CRL">
        <FailureNotice failure={failure} refetch={refetch} />
        {loading ? <Skeleton /> : null}
      </Card>
    )
  const { crl, stale, source } = data
  return (
    <Card title="Its CRL" aside={stale ? <Badge tone="warn">a newer one is due</Badge> : undefined}>
      {crl === null ? (
        <p className="soft small">None was imported: its CA can revoke nothing here.</p>
      ) : (
        <dl className="facts">
          <dt>Revokes</dt>
          <dd>{many(crl.entries, 'certificate')}</dd>
          <dt>Made</dt>
          <dd>
            <Timestamp at={crl.thisUpdate} />
            {crl.number === null ? '' : `, number ${crl.number}`}; the next is due{' '}
            <Timestamp at={crl.nextUpdate} />
          </dd>
          <dt>Imported</dt>
          <dd>
            <Timestamp at={crl.importedAt} />
          </dd>
        </dl>
      )}
      {source.url === null ? null : (
        <p className="small soft break">
          Fetched from <code>{source.url}</code>, last looked <Timestamp at={source.checkedAt} />
        </p>
      )}
      {source.error === null ? null : <Notice tone="warn" title={source.error} />}
      {operates ? <FileDrop label="Import a CRL (DER or PEM)" accept=".crl,.pem" onFile={read} /> : null}
      <div className="row">
        {operates && source.url !== null ? (
          <Button small onClick={() => void attempt(() => change('POST', `${path}/crl/refresh`))}>
            Fetch now
          </Button>
        ) : null}
        {may && url === null ? (
          <Button small onClick={() => setUrl(source.url ?? '')}>
            {source.url === null ? 'Fetch from a URL…' : 'Change the URL…'}
          </Button>
        ) : null}
      </div>
      {url === null ? null : (
        <form className="stack" onSubmit={setSource}>
          <Field
            label="URL"
            hint={`Empty for none. At most ${count(BYTES_MAX / 1024 / 1024)} MiB are fetched.`}
          >
            {link => (
              <input
                {...link}
                type="url"
                maxLength={2_048}
                value={url}
                onChange={event => setUrl(event.target.value)}
              />
            )}
          </Field>
          <div className="row">
            <Button type="submit" look="primary">
              Set the URL
            </Button>
            <Button onClick={() => setUrl(null)}>Cancel</Button>
          </div>
        </form>
      )}
      <FailureNotice failure={unread} />
      {done === null ? null : <Notice tone="good" title={done} />}
    </Card>
  )
}
