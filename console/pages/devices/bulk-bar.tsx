// What can be done with the chosen devices, or with all that match; the bar follows the reader down the list.
import { useState } from 'react'
import type { ListedDevice } from '../../api/response-types.ts'
import { useGroup } from '../../api/session.tsx'
import { Button } from '../../components/button.tsx'
import { SaveButton } from '../../components/save-button.tsx'
import { count, many } from '../../labels/formats.ts'
import { BulkDialog } from './bulk-dialog.tsx'
import type { BulkVerbName } from './bulk-verbs.ts'
import { deviceCsv } from './device-csv.ts'

const further: readonly { name: BulkVerbName; title: string; whole?: true }[] = [
  { name: 'addGroup', title: 'Add to a group…', whole: true },
  { name: 'removeGroup', title: 'Remove from a group…', whole: true },
  { name: 'attribute', title: 'Set an attribute…' },
  { name: 'policy', title: 'Attach a policy…', whole: true },
  { name: 'revoke', title: 'Revoke certificates…' },
  { name: 'decommission', title: 'Decommission…' },
]

export function BulkBar({
  chosen,
  filter,
  wholeList,
  onDone,
}: {
  chosen: readonly ListedDevice[]
  filter: Record<string, string | null>
  /** How many match, where that is known. */
  wholeList: number | null
  onDone: () => void
}) {
  const [asked, setAsked] = useState<{ name: BulkVerbName; devices: readonly ListedDevice[] | null } | null>(
    null,
  )
  const [everything, setEverything] = useState(false)
  const bound = useGroup() !== null
  const active = chosen.length > 0 || everything
  const begin = (name: BulkVerbName) => setAsked({ name, devices: everything ? null : chosen })
  return (
    <>
      {active ? (
        <section className="chosen" aria-label="Chosen devices">
          <strong>
            {everything
              ? wholeList === null
                ? 'All that match'
                : `All ${count(wholeList)} that match`
              : `${many(chosen.length, 'device')} chosen`}
          </strong>
          <Button small look="quiet" onClick={() => setEverything(!everything)}>
            {everything ? 'Only those chosen' : 'Choose all that match'}
          </Button>
          <span className="row">
            <Button small onClick={() => begin('suspend')}>
              Suspend…
            </Button>
            <Button small onClick={() => begin('activate')}>
              Activate…
            </Button>
            <select
              className="small"
              aria-label="Further changes"
              value=""
              onChange={event => begin(event.target.value as BulkVerbName)}
            >
              <option value="" disabled>
                More…
              </option>
              {further
                .filter(({ whole }) => !(whole && bound))
                .map(({ name, title }) => (
                  <option key={name} value={name}>
                    {title}
                  </option>
                ))}
            </select>
            {everything ? null : (
              <SaveButton name="devices.csv" text={deviceCsv(chosen)}>
                CSV
              </SaveButton>
            )}
          </span>
        </section>
      ) : null}
      {asked === null ? null : (
        <BulkDialog
          key={asked.name}
          name={asked.name}
          devices={asked.devices}
          filter={filter}
          onClose={changed => {
            setAsked(null)
            if (changed) {
              setEverything(false)
              onDone()
            }
          }}
        />
      )}
    </>
  )
}
