// When the device was last connected, how that ended, and what waits for it.
import type { LastSeen } from '../../../client/types.ts'
import { Card } from '../../components/card.tsx'
import { Fingerprint } from '../../components/fingerprint.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { endingLabel } from '../../labels/endings.ts'
import { bytes, many } from '../../labels/formats.ts'

export function LastSeenCard({ seen }: { seen: LastSeen | null }) {
  if (seen === null) return null
  const { connectedAt, disconnectedAt, reason } = seen
  return (
    <Card title="Last seen">
      <dl className="facts">
        <dt>Connected</dt>
        <dd>
          <Timestamp at={connectedAt} />
          {seen.address === null ? null : ` from ${seen.address}`}
          {seen.protocol === null ? null : `, MQTT ${seen.protocol}`}
        </dd>
        <dt>{disconnectedAt === null ? 'Before that' : 'Disconnected'}</dt>
        <dd>
          {disconnectedAt === null ? null : (
            <>
              <Timestamp at={disconnectedAt} />
              {': '}
            </>
          )}
          {reason === null ? <span className="faint">not on record</span> : endingLabel(reason)}
        </dd>
        <dt>Session</dt>
        <dd>
          {seen.sessionKept ? 'outlives its connection' : 'ends with its connection'},{' '}
          {many(seen.messagesWaiting, 'message')} waiting
        </dd>
        <dt>Traffic</dt>
        <dd>
          {bytes(seen.bytesIn)} from it, {bytes(seen.bytesOut)} to it, over all its connections
        </dd>
        {seen.fingerprint === null ? null : (
          <>
            <dt>Certificate</dt>
            <dd>
              <Fingerprint of={seen.fingerprint} />
            </dd>
          </>
        )}
      </dl>
    </Card>
  )
}
