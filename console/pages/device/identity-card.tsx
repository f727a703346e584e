// A device's groups, attributes and dates. An operator changes them, unless another operator just did.
import { type FormEvent, useState } from 'react'
import { change } from '../../api/request.ts'
import type { ListedDevice } from '../../api/response-types.ts'
import { useGroup, useMay } from '../../api/session.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Dialog } from '../../components/dialog.tsx'
import { Field } from '../../components/field.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { TextField } from '../../components/text-field.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { formatAttributes, parseAttributes, parseGroups } from '../../labels/attributes.ts'

export function IdentityCard({ device, onChanged }: { device: ListedDevice; onChanged: () => void }) {
  const [editing, setEditing] = useState(false)
  const may = useMay('operator') && device.state !== 'decommissioned'
  const attributes = Object.entries(device.attributes)
  return (
    <Card
      title="Identity"
      aside={
        may ? (
          <Button small onClick={() => setEditing(true)}>
            Edit
          </Button>
        ) : undefined
      }
    >
      <dl className="facts">
        <dt>Device ID</dt>
        <dd className="mono">{device.id}</dd>
        <dt>Groups</dt>
        <dd>
          {device.groups.length === 0 ? <span className="faint">none</span> : null}
          <div className="tags">
            {device.groups.map(group => (
              <span className="tag" key={group}>
                {group}
              </span>
            ))}
          </div>
        </dd>
        <dt>Registered</dt>
        <dd>
          <Timestamp at={device.createdAt} />
        </dd>
        <dt>Changed</dt>
        <dd>
          <Timestamp at={device.updatedAt} />
        </dd>
      </dl>
      <h3>Attributes</h3>
      {attributes.length === 0 ? (
        <p className="faint small">
          None. Policies can use them as <code>device.attr.NAME</code>.
        </p>
      ) : null}
      <dl className="facts">
        {attributes.map(([name, value]) => (
          <div className="pair" key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {editing ? (
        <EditDialog
          device={device}
          onClose={() => {
            setEditing(false)
            // Somebody else may have changed it meanwhile.
            onChanged()
          }}
        />
      ) : null}
    </Card>
  )
}

function EditDialog({ device, onClose }: { device: ListedDevice; onClose: () => void }) {
  const group = useGroup()
  const [attributes, setAttributes] = useState(formatAttributes(device.attributes))
  const [groups, setGroups] = useState(device.groups.join(', '))
  const [failure, setFailure] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const parsed = parseAttributes(attributes)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (typeof parsed === 'string') return
    setBusy(true)
    try {
      const wanted = { attributes: parsed, ...(group === null ? { groups: parseGroups(groups) } : {}) }
      const headers = { 'If-Match': `"${device.version}"` }
      await change('PATCH', `/v1/devices/${encodeURIComponent(device.id)}`, wanted, { headers })
      onClose()
    } catch (error) {
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Dialog title={`Edit ${device.id}`} onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <Field
          label="Attributes"
          hint="One on a line, as name=value. Policies that use one take effect on live sessions at once."
          fault={typeof parsed === 'string' ? parsed : null}
        >
          {link => (
            <textarea
              {...link}
              rows={6}
              spellCheck={false}
              value={attributes}
              onChange={event => setAttributes(event.target.value)}
            />
          )}
        </Field>
        {group === null ? (
          <TextField
            label="Groups"
            hint="Separated by commas. A group hands on the rights of the policies attached to it."
            value={groups}
            onValue={setGroups}
          />
        ) : null}
        <FailureNotice failure={failure} />
        <div className="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" busy={busy} disabled={typeof parsed === 'string'}>
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
