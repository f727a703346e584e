// The settings of one way in: closed, with approval or open; how devices are named, into which group they come, and how many.
import { type FormEvent, useState } from 'react'
import { change } from '../../api/request.ts'
import { useMay } from '../../api/session.tsx'
import { Button } from '../../components/button.tsx'
import { Field } from '../../components/field.tsx'
import { FailureNotice, fieldError, Notice } from '../../components/notice.tsx'
import { TextField } from '../../components/text-field.tsx'
import { many } from '../../labels/formats.ts'

type Mode = 'off' | 'pending' | 'active'
/** What is left out is no setting of this way in. */
export type EntrySettings = {
  mode: Mode
  nameTemplate?: string
  group?: string | null
  devicesMax: number
  perMinuteMax?: number
}

const modes: readonly { mode: Mode; title: string }[] = [
  { mode: 'off', title: 'closed' },
  { mode: 'pending', title: 'open, with approval' },
  { mode: 'active', title: 'open' },
]

export function EntryForm({
  path,
  now,
  devices,
  onDone,
}: {
  path: string
  now: EntrySettings
  devices: number
  onDone: () => void
}) {
  const [wanted, setWanted] = useState<EntrySettings>(now)
  const [busy, setBusy] = useState(false)
  const [saved, setSaved] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)
  const may = useMay('admin')
  const set = (more: Partial<EntrySettings>) => {
    setSaved(false)
    setWanted({ ...wanted, ...more })
  }
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setFailure(null)
    try {
      await change('PUT', path, wanted)
      setSaved(true)
      onDone()
    } catch (error) {
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  const { mode, nameTemplate, group, devicesMax, perMinuteMax } = wanted
  return (
    <form className="stack" onSubmit={submit}>
      <fieldset className="plain stack" disabled={!may}>
        <div className="fields">
          <Field label="It is">
            {link => (
              <select {...link} value={mode} onChange={event => set({ mode: event.target.value as Mode })}>
                {modes.map(({ mode: value, title }) => (
                  <option key={value} value={value}>
                    {title}
                  </option>
                ))}
              </select>
            )}
          </Field>
          {nameTemplate === undefined ? null : (
            <Field
              label="Names of devices"
              // biome-ignore lint/suspicious/noTemplateCurlyInString: what is typed
              hint={'Such as maker-${cn} or ${subject.serialNumber}'}
              fault={fieldError(failure, 'nameTemplate')}
            >
              {link => (
                <input
                  {...link}
                  maxLength={200}
                  spellCheck={false}
                  autoComplete="off"
                  value={nameTemplate}
                  onChange={event => set({ nameTemplate: event.target.value })}
                />
              )}
            </Field>
          )}
          {group === undefined ? null : (
            <TextField
              label="Group"
              hint="Empty for none"
              fault={fieldError(failure, 'group')}
              maxLength={128}
              value={group ?? ''}
              onValue={value => set({ group: value === '' ? null : value })}
            />
          )}
          <Field label="Devices at most" fault={fieldError(failure, 'devicesMax')}>
            {link => (
              <input
                {...link}
                type="number"
                required
                min={1}
                max={10_000_000}
                value={devicesMax}
                onChange={event => set({ devicesMax: event.target.valueAsNumber || 1 })}
              />
            )}
          </Field>
          {perMinuteMax === undefined ? null : (
            <Field label="A minute at most" fault={fieldError(failure, 'perMinuteMax')}>
              {link => (
                <input
                  {...link}
                  type="number"
                  required
                  min={1}
                  max={6_000}
                  value={perMinuteMax}
                  onChange={event => set({ perMinuteMax: event.target.valueAsNumber || 1 })}
                />
              )}
            </Field>
          )}
        </div>
      </fieldset>
      <FailureNotice failure={failure} />
      {saved ? <Notice tone="good" title="Saved." /> : null}
      <div className="row apart">
        <span className="small faint">{many(devices, 'device')} came in this way.</span>
        {may ? (
          <Button type="submit" busy={busy}>
            Save
          </Button>
        ) : null}
      </div>
    </form>
  )
}
