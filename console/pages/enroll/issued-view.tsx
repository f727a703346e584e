// A certificate that was just issued: to take away, and the command to try it with.
import type { IssuedCertificate } from '../../../client/types.ts'
import { Button } from '../../parts/button.tsx'
import { Card } from '../../parts/card.tsx'
import { CopyButton } from '../../parts/copy-button.tsx'
import { Fingerprint } from '../../parts/fingerprint.tsx'
import { Moment } from '../../parts/moment.tsx'
import { Notice } from '../../parts/notice.tsx'
import { SaveButton } from '../../parts/save-button.tsx'
import { TextBlock } from '../../parts/text-block.tsx'
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
            <Moment at={issued.notAfter} />
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
