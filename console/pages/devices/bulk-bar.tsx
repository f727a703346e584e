// What can be done with the chosen devices, or with all that match; the bar follows the reader down the list.
import { useState } from 'react'
import { Button } from '../../components/button.tsx'
import { count, many } from '../../labels/formats.ts'
import { BulkDialog } from './bulk-dialog.tsx'
import type { BulkVerb } from './bulk-run.ts'

export function BulkBar({
  chosen,
  filter,
  wholeList,
  onDone,
}: {
  chosen: ReadonlySet<string>
  filter: Record<string, string | null>
  /** How many match, where that is known. */
  wholeList: number | null
  onDone: () => void
}) {
  const [asked, setAsked] = useState<{ verb: BulkVerb; ids: readonly string[] | null } | null>(null)
  const [everything, setEverything] = useState(false)
  const active = chosen.size > 0 || everything
  const begin = (verb: BulkVerb) => setAsked({ verb, ids: everything ? null : [...chosen] })
  return (
    <>
      {active ? (
        <section className="chosen" aria-label="Chosen devices">
          <strong>
            {everything
              ? wholeList === null
                ? 'All that match'
                : `All ${count(wholeList)} that match`
              : `${many(chosen.size, 'device')} chosen`}
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
            <Button small look="danger" onClick={() => begin('decommission')}>
              Decommission…
            </Button>
          </span>
        </section>
      ) : null}
      {asked === null ? null : (
        <BulkDialog
          verb={asked.verb}
          ids={asked.ids}
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
