// Keys of a list: j and k go down and up its rows, Enter opens one (its link has the focus), x chooses it. Not while somebody types.
import { type RefObject, useEffect, useRef } from 'react'

/** @param toggle chooses the row of this ID; null where nothing can be chosen */
export function useListKeys(
  toggle: ((id: string) => void) | null,
): RefObject<HTMLTableSectionElement | null> {
  const body = useRef<HTMLTableSectionElement>(null)
  const choose = useRef(toggle)
  choose.current = toggle
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const isTyping =
        event.target instanceof Element &&
        event.target.closest('input:not([type=checkbox]), select, textarea, dialog')
      if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return
      const rows = [...(body.current?.rows ?? [])]
      const at = rows.findIndex(row => row.contains(document.activeElement))
      const step = event.key === 'j' ? 1 : event.key === 'k' ? -1 : 0
      if (step !== 0) {
        const row = rows[Math.min(rows.length - 1, Math.max(0, at + step))]
        row?.querySelector<HTMLElement>('th a')?.focus()
        row?.scrollIntoView({ block: 'nearest' })
        event.preventDefault()
      }
      const id = rows[at]?.dataset['id']
      if (event.key === 'x' && id !== undefined) choose.current?.(id)
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [])
  return body
}
