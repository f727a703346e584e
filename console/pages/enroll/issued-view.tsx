// A certificate that was just issued: to take away, and the command to try it with.
import type { IssuedCertificate } from '../../../client/types.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { CopyButton } from '../../components/copy-button.tsx'
import { Fingerprint } from '../../components/fingerprint.tsx'
import { Notice } from '../../components/notice.tsx'
import { SaveButton } from '../../components/save-button.tsx'
import { TextBlock } from '../../components/text-block.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { Link } from '../../routing/link.tsx'

export function IssuedView({ issued, onAgain }: { issued: IssuedCertificate; onAgain: () => void }) {
  const { deviceId } = issued
  const pem = [issued.certificate, ...issued.chain].join('')
  const command = [
    `mosquitto_pub -h ${location.hostname} -p 8883`,
    '--cafile ca.crt --cert device.crt --key device.key',
    `-i ${deviceId} -t devices/${deviceId}/hello -m 1`,
  ].join(' \\\n  ')
  return (
    <div className="stack">
      <Notice tone="good" title={`${deviceId} is on the roll.`}>
        <p className="small">Its first connection makes the certificate active.</p>
      </Notice>
      <Card
        title="Certificate"
        aside={
          <>
            <CopyButton text={pem} label="Copy" words />
            <SaveButton name="device.crt" text={pem}>
              device.crt
            </SaveButton>
            {issued.ca === null ? null : (
              <SaveButton name="ca.crt" text={issued.ca}>
                ca.crt
              </SaveButton>
            )}
          </>
        }
      >
        <dl className="facts">
          <dt>Fingerprint</dt>
          <dd>
            <Fingerprint of={issued.fingerprint} />
          </dd>
          <dt>Subject</dt>
          <dd>{issued.subject}</dd>
          <dt>Ends</dt>
          <dd>
            <Timestamp at={issued.notAfter} />
          </dd>
        </dl>
        <TextBlock label="Certificate and chain" text={pem} low />
      </Card>
      <Card title="Try it" aside={<CopyButton text={command} label="Copy" words />}>
        <TextBlock label="Command" text={command} />
        <p className="soft small">Where the broker listens on another port or host, say so with -p and -h.</p>
      </Card>
      <div className="row">
        <Link className="button primary" to={`/devices/${encodeURIComponent(deviceId)}`}>
          Watch {deviceId} connect
        </Link>
        <Button onClick={onAgain}>Enroll another</Button>
      </div>
    </div>
  )
}
