// Trust anchors: CAs of others, until when each holds, and the certificates that a renewed one had before; to add, renew, retire
// and remove.
import { useState } from 'react'
import type { Issuer, Receipt } from '../../../client/types.ts'
import { change } from '../../api/request.ts'
import { useGroup, useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Confirmation } from '../../components/confirmation.tsx'
import { Ends } from '../../components/ends.tsx'
import { FileDrop } from '../../components/file-drop.tsx'
import { Fingerprint } from '../../components/fingerprint.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { Link } from '../../routing/link.tsx'

const CERTIFICATE_BYTES_MAX = 64 * 1024
const SOON_DAYS = 90

type Asked =
  | { what: 'add'; certificate: string }
  | { what: 'retire'; issuer: Issuer; fingerprint: string }
  | { what: 'remove'; issuer: Issuer }

export function AnchorsCard() {
  const { items, failure, loading, more, fetching, refetch } = usePages<Issuer>('/v1/issuers?limit=100')
  const [asked, setAsked] = useState<Asked | null>(null)
  const [unread, setUnread] = useState<unknown>(null)
  const whole = useGroup() === null
  const may = useMay('admin') && whole
  const anchors = items.filter(({ kind }) => kind === 'foreign')

  const read = async (file: File) => {
    setUnread(null)
    try {
      if (file.size > CERTIFICATE_BYTES_MAX) throw new Error(`${file.name} is too large for a certificate`)
      setAsked({ what: 'add', certificate: await file.text() })
    } catch (error) {
      setUnread(error)
    }
  }
  return (
    <Card title="Trust anchors">
      <FailureNotice failure={failure ?? unread} refetch={refetch} />
      {!loading && anchors.length === 0 ? (
        <p className="soft small">None: devices come in with certificates of our own CA, or pinned ones.</p>
      ) : null}
      <ul className="list">
        {anchors.map(issuer => (
          <Anchor key={issuer.id} issuer={issuer} may={may} onAsk={setAsked} />
        ))}
      </ul>
      <ShowMore more={more} busy={fetching} />
      {may ? (
        <FileDrop
          label="Add a CA, or renew one: its certificate (PEM)"
          accept=".pem,.crt,.cer"
          onFile={read}
        />
      ) : null}
      {asked === null ? null : (
        <AnchorConfirmation asked={asked} onDone={refetch} onClose={() => setAsked(null)} />
      )}
    </Card>
  )
}

function Anchor({ issuer, may, onAsk }: { issuer: Issuer; may: boolean; onAsk: (asked: Asked) => void }) {
  return (
    <li className="stack tight">
      <span className="row apart">
        <span className="row">
          <Link className="break" to={`/issuers/${issuer.id}`}>
            {issuer.name}
          </Link>
          {issuer.enabled ? null : <Badge tone="bad">disabled</Badge>}
        </span>
        {may ? (
          <Button small look="danger" onClick={() => onAsk({ what: 'remove', issuer })}>
            Remove…
          </Button>
        ) : null}
      </span>
      {issuer.certificates.map(({ fingerprint, notAfter, inForce }) => (
        <span key={fingerprint} className="row apart">
          <span className="row">
            <Fingerprint of={fingerprint} />
            <Badge>{inForce ? 'in force' : 'replaced'}</Badge>
          </span>
          <span className="row">
            <Ends at={notAfter} soonDays={SOON_DAYS} />
            {may && !inForce ? (
              <Button small onClick={() => onAsk({ what: 'retire', issuer, fingerprint })}>
                Retire…
              </Button>
            ) : null}
          </span>
        </span>
      ))}
    </li>
  )
}

function AnchorConfirmation({
  asked,
  onDone,
  onClose,
}: {
  asked: Asked
  onDone: () => void
  onClose: () => void
}) {
  const { title, word, verb, words, act } = requestOf(asked)
  return (
    <Confirmation
      title={title}
      word={word}
      verb={verb}
      danger={asked.what === 'remove'}
      act={act}
      onDone={onDone}
      onClose={onClose}
    >
      <p className="soft">{words}</p>
    </Confirmation>
  )
}

function requestOf(asked: Asked) {
  if (asked.what === 'add')
    return {
      title: 'Trust a CA',
      word: null,
      verb: 'Trust',
      words:
        'Brokers trust it at once; its devices enter only where they are on the roll. The renewed certificate of a trust anchor takes the place of the one in force.',
      act: () => change<Receipt>('POST', '/v1/issuers', { certificate: asked.certificate }),
    }
  const base = `/v1/issuers/${asked.issuer.id}`
  if (asked.what === 'remove')
    return {
      title: `Remove ${asked.issuer.name}`,
      word: asked.issuer.name,
      verb: 'Remove',
      words: 'Refused while a certificate, a CA below it, an enrolled device or a policy names it.',
      act: () => change<Receipt>('DELETE', base),
    }
  return {
    title: `Retire a certificate of ${asked.issuer.name}`,
    word: null,
    verb: 'Retire',
    words:
      'The certificate in force stays. Refused while a device certificate names this one by its serial number.',
    act: () => change<Receipt>('POST', `${base}/retire`, { fingerprint: asked.fingerprint }),
  }
}
