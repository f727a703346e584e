// Views of the list of devices that the reader saved by name: filters, sort and columns, as the address has them. Kept in this browser.

export type SavedView = { name: string; query: string }

const KEY = 'rollcall.views'
const VIEWS_MAX = 50
const NAME_MAX = 60
const QUERY_MAX = 4_000

/** What is no list of views reads as none. */
export function savedViews(): SavedView[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]')
    if (!Array.isArray(kept)) return []
    return kept.filter(isView).slice(0, VIEWS_MAX)
  } catch {
    return []
  }
}

/** A view of the same name is replaced. Gives what is saved then. */
export function saveView(name: string, query: string): SavedView[] {
  const others = savedViews().filter(view => view.name !== name)
  return keep([...others, { name: name.slice(0, NAME_MAX), query }].slice(-VIEWS_MAX))
}

export function removeView(name: string): SavedView[] {
  return keep(savedViews().filter(view => view.name !== name))
}

function keep(views: SavedView[]): SavedView[] {
  try {
    if (views.length === 0) localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, JSON.stringify(views))
  } catch {
    // They hold for this page alone then.
  }
  return views
}

function isView(value: unknown): value is SavedView {
  const { name, query } = (value ?? {}) as Partial<SavedView>
  return (
    typeof name === 'string' &&
    name !== '' &&
    name.length <= NAME_MAX &&
    typeof query === 'string' &&
    query.length <= QUERY_MAX
  )
}
