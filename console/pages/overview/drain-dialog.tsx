// Draining a broker, and letting it take sessions again.
import { useState } from 'react'
import type { BrokerNode, NodeChange } from '../../../client/nodes.ts'
import { change } from '../../api/request.ts'
import { Confirmation } from '../../components/confirmation.tsx'
import { Field } from '../../components/field.tsx'
import { TextField } from '../../components/text-field.tsx'
import { many } from '../../labels/formats.ts'

type Asked = { node: BrokerNode; onDone: () => void; onClose: () => void }

const path = (node: string, verb: string) => `/v1/nodes/${encodeURIComponent(node)}/${verb}`

export function DrainDialog({ node: { node, sessions }, onDone, onClose }: Asked) {
  const [minutes, setMinutes] = useState('1')
  const [reference, setReference] = useState('')
  const overSeconds = Math.round(Number(minutes) * 60)
  return (
    <Confirmation<NodeChange>
      title={`Drain ${node}`}
      word={node}
      verb="Drain"
      danger
      act={() =>
        change<NodeChange>('POST', path(node, 'drain'), {
          overSeconds,
          ...(reference.trim() !== '' && { serverReference: reference.trim() }),
        })
      }
      onDone={onDone}
      onClose={onClose}
      result={() => (
        <p>{node} takes no session any more. How many are left is shown in the list of brokers.</p>
      )}
    >
      <p className="soft">
        It takes no session and is not ready until it is resumed, through restarts too.{' '}
        {many(sessions, 'session')} will end, one after the other; their wills are sent.
      </p>
      <Field label="Over how many minutes" hint="0 ends all at once.">
        {link => (
          <input
            {...link}
            type="number"
            min="0"
            max="1440"
            step="any"
            required
            value={minutes}
            onChange={event => setMinutes(event.target.value)}
          />
        )}
      </Field>
      <TextField
        label="Server reference"
        hint="Where clients of MQTT 5 are told to go, such as mqtt-2.example.org:8883; may be empty."
        value={reference}
        onValue={setReference}
      />
    </Confirmation>
  )
}

export function ResumeDialog({ node: { node }, onDone, onClose }: Asked) {
  return (
    <Confirmation<NodeChange>
      title={`Resume ${node}`}
      word={null}
      verb="Resume"
      danger={false}
      act={() => change<NodeChange>('POST', path(node, 'resume'))}
      onDone={onDone}
      onClose={onClose}
      result={() => <p>{node} takes sessions again.</p>}
    >
      <p className="soft">It takes sessions again. Those that went elsewhere stay there.</p>
    </Confirmation>
  )
}
