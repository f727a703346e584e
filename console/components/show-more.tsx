// The foot of a table that has more rows than were asked for yet.
import { Button } from './button.tsx'

/** `more` asks for the next page; null where there is none. */
export function ShowMore({ more, busy = false }: { more: (() => void) | null; busy?: boolean }) {
  if (more === null) return null
  return (
    <div className="table-foot">
      <Button onClick={more} busy={busy}>
        Show more
      </Button>
    </div>
  )
}
