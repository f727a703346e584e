// The actions on a device as a whole that the operator may take; each says what it cuts before it does.
import { useState } from 'react'
import type { StateReceipt } from '../../../client/types.ts'
import { change } from '../../api/request.ts'
import type { ListedDevice } from '../../api/response-types.ts'
import { useMay } from '../../api/session.tsx'
import { Button } from '../../components/button.tsx'
import { Confirmation } from '../../components/confirmation.tsx'
import { ReceiptView, timed } from '../../components/receipt.tsx'
import { navigate } from '../../routing/location.ts'

const verbs = {
  suspend: {
    title: 'Suspend the device',
    button: 'Suspend',
    tells:
      'Its sessions are cut now, and nothing of it is admitted until it is activated again. Its certificates and the messages that wait for it are kept.',
    danger: true,
  },
  activate: {
    title: 'Activate the device',
    button: 'Activate',
    tells: 'It may connect again with the certificates it has.',
    danger: false,
  },
  decommission: {
    title: 'Decommission the device',
    button: 'Decommission',
    tells:
      'For good. Its sessions are cut now; its stored session, its queue and the retained messages it left are deleted. No state leads back, and its ID stays taken until the device is deleted.',
    danger: true,
  },
} as const
type Verb = keyof typeof verbs

export function DeviceActions({ device, onChanged }: { device: ListedDevice; onChanged: () => void }) {
  const may = useMay('operator')
  const [verb, setVerb] = useState<Verb | null>(null)
  const [deleting, setDeleting] = useState(false)
  if (!may) return null
  if (device.state === 'decommissioned' && verb === null)
    return (
      <>
        <Button look="danger" onClick={() => setDeleting(true)}>
          Delete…
        </Button>
        {deleting ? <DeleteDevice device={device} onClose={() => setDeleting(false)} /> : null}
      </>
    )
  const act = () => change<StateReceipt>('POST', `/v1/devices/${encodeURIComponent(device.id)}/${verb}`)
  const asked = verb === null ? null : verbs[verb]
  return (
    <>
      {device.state === 'suspended' ? (
        <Button onClick={() => setVerb('activate')}>Activate…</Button>
      ) : device.state === 'decommissioned' ? null : (
        <Button onClick={() => setVerb('suspend')}>Suspend…</Button>
      )}
      {device.state === 'decommissioned' ? null : (
        <Button look="danger" onClick={() => setVerb('decommission')}>
          Decommission…
        </Button>
      )}
      {asked === null ? null : (
        <Confirmation
          title={`${asked.title} ${device.id}`}
          word={asked.danger ? device.id : null}
          verb={asked.button}
          danger={asked.danger}
          act={() => timed(act)}
          onDone={onChanged}
          onClose={() => setVerb(null)}
          result={done => <ReceiptView first={done} refetch={act} />}
        >
          <p className="soft">{asked.tells}</p>
        </Confirmation>
      )}
    </>
  )
}

function DeleteDevice({ device, onClose }: { device: ListedDevice; onClose: () => void }) {
  return (
    <Confirmation
      title={`Delete the device ${device.id}`}
      word={device.id}
      verb="Delete"
      act={() =>
        change('DELETE', `/v1/devices/${encodeURIComponent(device.id)}`, undefined, {
          headers: { 'If-Match': `"${device.version}"` },
        })
      }
      onDone={() => navigate('/devices', { replace: true })}
      onClose={onClose}
    >
      <p className="soft">
        Takes it off the record, once its last certificate has expired. Its public keys stay taken, and its
        rows of the audit log stay.
      </p>
    </Confirmation>
  )
}
