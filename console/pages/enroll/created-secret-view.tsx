// What stands for a token in CMP or ACME, this one time: a name, a secret, and commands for the device that has them in files.
import type { CreatedEnrollmentToken } from '../../../client/enrollment.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { CopyButton } from '../../components/copy-button.tsx'
import { Notice } from '../../components/notice.tsx'
import { SaveButton } from '../../components/save-button.tsx'
import { TextBlock } from '../../components/text-block.tsx'
import { Timestamp } from '../../components/timestamp.tsx'

type Secret = {
  protocol: 'CMP' | 'ACME'
  named: string
  name: string
  called: string
  secret: string
  commands: string[]
}

/** Null where the token was made for neither. */
export function secretOf(made: CreatedEnrollmentToken): Secret | null {
  const id = made.deviceId ?? 'NAME'
  if (made.cmp !== undefined)
    return {
      ...{ protocol: 'CMP', named: 'Reference', name: made.cmp.reference },
      ...{ called: 'secret', secret: made.cmp.secret },
      commands: [
        'openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out device.key',
        `openssl cmp -config '' -cmd ir -server ${location.host}/.well-known/cmp -tls_used -tls_trusted ca.crt -trusted ca.crt -ref ${made.cmp.reference} -secret file:secret -mac hmacWithSHA256 -newkey device.key -subject /CN=${id} -certout device.crt -chainout chain.crt`,
      ],
    }
  if (made.acme !== undefined)
    return {
      ...{ protocol: 'ACME', named: 'Key ID', name: made.acme.kid },
      ...{ called: 'hmac', secret: made.acme.hmacKey },
      commands: [
        `printf 'eab-hmac-key = %s\\n' "$(cat hmac)" > certbot.ini`,
        `REQUESTS_CA_BUNDLE=ca.crt certbot certonly -n --agree-tos --register-unsafely-without-email -c certbot.ini --server ${location.origin}/acme/directory --eab-kid ${made.acme.kid} --standalone -d ${id}`,
      ],
    }
  return null
}

export function CreatedSecretView({
  made,
  of,
  onClose,
}: {
  made: CreatedEnrollmentToken
  of: Secret
  onClose: () => void
}) {
  const { protocol, named, name, called, secret, commands } = of
  const text = commands.join('\n')
  return (
    <div className="stack">
      <Notice tone="warn" title="This is the only time that the secret is shown.">
        <p className="small">
          Its holder can enroll {made.deviceId ?? `one device of the group ${made.group}`} by {protocol}. It
          ends <Timestamp at={made.expiresAt} />.
        </p>
      </Notice>
      <Card
        title="On the device"
        aside={
          <>
            <CopyButton text={secret} label="Copy the secret" words />
            <SaveButton name={called} text={`${secret}\n`}>
              {called}
            </SaveButton>
          </>
        }
      >
        <dl className="facts">
          <dt>{named}</dt>
          <dd className="mono">{name}</dd>
        </dl>
        <p className="soft small">
          Put the secret into a file <code>{called}</code>, and <code>ca.crt</code> of the data directory
          beside it. Then:
        </p>
        <TextBlock label="Commands" text={text} />
        <div className="row">
          <CopyButton text={text} label="Copy the commands" words />
        </div>
      </Card>
      <div className="row">
        <Button onClick={onClose}>I have it; hide the secret</Button>
      </div>
    </div>
  )
}
