// A change of many devices: what has to be said besides, and a preview that counts those that will really change.
import { useEffect, useRef, useState } from 'react'
import type { ListedDevice } from '../../api/response-types.ts'
import { BulkConfirmation } from '../../components/bulk-confirmation.tsx'
import { FailureNotice, Notice } from '../../components/notice.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { TextField } from '../../components/text-field.tsx'
import { count, many } from '../../labels/formats.ts'
import { type BulkVerb, type BulkVerbName, bulkVerbs, type Said } from './bulk-verbs.ts'
import { BULK_MAX, matching, type Selection } from './matching-devices.ts'

export function BulkDialog({
  name,
  devices: given,
  filter,
  onClose,
}: {
  name: BulkVerbName
  /** Null for all that match the filter. */
  devices: readonly ListedDevice[] | null
  filter: Record<string, string | null>
  onClose: (changed: boolean) => void
}) {
  const { title, verb, tells, danger, inputs, changes, ask, act }: BulkVerb = bulkVerbs[name]
  const [selection, setSelection] = useState<Selection | null>(null)
  const [failure, setFailure] = useState<unknown>(null)
  const [typed, setTyped] = useState<Said>({ group: '', attribute: '', value: '', policy: '' })
  const [told, setTold] = useState<readonly ListedDevice[] | null>(null)
  const asked = useRef({ filter, given })
  useEffect(() => {
    const controller = new AbortController()
    const { signal } = controller
    const look = async () => {
      const { filter, given } = asked.current
      const found = given === null ? await matching(filter, signal) : { devices: given, complete: true }
      if (ask !== undefined) setTold(await ask(found.devices, signal))
      setSelection(found)
    }
    look().catch(error => {
      if (!signal.aborted) setFailure(error)
    })
    return () => controller.abort()
  }, [ask])

  const said: Said = {
    ...typed,
    ...{ group: typed.group.trim(), attribute: typed.attribute.trim(), policy: typed.policy.trim() },
  }
  const complete = inputs.every(input => input.mayBeEmpty || said[input.name] !== '')
  const chosen = selection?.devices ?? []
  const certain = changes === null ? (told ?? chosen) : chosen.filter(device => changes(device, said))
  const changing = complete ? certain : []
  const unchanged = chosen.length - changing.length
  return (
    <BulkConfirmation
      title={title}
      verb={verb}
      danger={danger}
      items={selection === null || !complete ? null : changing}
      thing="device"
      nameOf={({ id }) => id}
      act={device => act(device, said)}
      onClose={onClose}
    >
      <FailureNotice failure={failure} />
      <p className="soft">{tells}</p>
      {inputs.map(({ name: input, label }) => (
        <TextField
          key={input}
          label={label}
          maxLength={input === 'value' ? 1_024 : 128}
          value={typed[input]}
          onValue={value => setTyped({ ...typed, [input]: value })}
        />
      ))}
      {selection === null && failure === null ? <Skeleton /> : null}
      {complete && unchanged > 0 ? (
        <p className="small soft">
          Of {many(chosen.length, 'device')}, {count(unchanged)} stay as they are: the change is nothing for
          them.
        </p>
      ) : null}
      {selection !== null && !selection.complete ? (
        <Notice tone="warn" title={`Only the first ${count(BULK_MAX)} are looked at here.`}>
          <p className="small">For more, narrow the filter, or import a file.</p>
        </Notice>
      ) : null}
    </BulkConfirmation>
  )
}
