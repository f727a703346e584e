// A token that was just made, this one time: as text, as a QR code for an installer's phone, as commands for the device.
import type { CreatedEnrollmentToken } from '../../../client/enrollment.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { CopyButton } from '../../components/copy-button.tsx'
import { Notice } from '../../components/notice.tsx'
import { QrCode } from '../../components/qr-code.tsx'
import { SaveButton } from '../../components/save-button.tsx'
import { TextBlock } from '../../components/text-block.tsx'
import { Timestamp } from '../../components/timestamp.tsx'

export function CreatedTokenView({ made, onClose }: { made: CreatedEnrollmentToken; onClose: () => void }) {
  const name = made.deviceId ?? 'NAME'
  const api = location.origin
  const coded = JSON.stringify({
    api,
    token: made.token,
    ...(made.deviceId === null ? { group: made.group } : { deviceId: made.deviceId }),
  })
  const query = made.deviceId === null ? `?deviceId=${name}` : ''
  // The token comes out of a file: on a command line every user of the machine could see it.
  const commands = [
    `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout device.key -out device.csr -subj /CN=${name}`,
    `printf 'header = "Authorization: Bearer %s"\\n' "$(cat token)" > token.curl`,
    `curl --fail-with-body --silent --show-error --cacert ca.crt -K token.curl -H 'Content-Type: application/pkcs10' --data-binary @device.csr -o device.crt '${api}/v1/enroll${query}'`,
  ].join('\n')
  return (
    <div className="stack">
      <Notice tone="warn" title="This is the only time that the token is shown.">
        <p className="small">
          Its holder can enroll {made.deviceId ?? `one device of the group ${made.group}`}. It ends{' '}
          <Timestamp at={made.expiresAt} />.
        </p>
      </Notice>
      <div className="grid wide-narrow">
        <Card
          title="On the device"
          aside={
            <>
              <CopyButton text={made.token} label="Copy the token" words />
              <SaveButton name="token" text={`${made.token}\n`}>
                token
              </SaveButton>
            </>
          }
        >
          <p className="soft small">
            Put the token into a file <code>token</code>, and <code>ca.crt</code> of the data directory beside
            it. Then:
          </p>
          <TextBlock label="Commands" text={commands} />
          <div className="row">
            <CopyButton text={commands} label="Copy the commands" words />
          </div>
        </Card>
        <Card title="For an installer">
          <QrCode text={coded} label="QR code with the address of this service and the token" />
          <p className="soft small">The address, the token and its device or group, as JSON.</p>
        </Card>
      </div>
      <div className="row">
        <Button onClick={onClose}>I have it; hide the token</Button>
      </div>
    </div>
  )
}
