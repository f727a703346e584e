// What supervisor and child say to each other over the IPC channel, and how each side reads it.
// A message that does not fit is no message: neither side trusts the other to be well.

/** Child → supervisor. */
export type ChildMessage =
  | { type: 'ready'; url: string }
  /** Whether it can do its work now; `ready` once says where it accepts. */
  | { type: 'health'; ready: boolean }
  | { type: 'failed'; message: string }
  | { type: 'metrics'; id: number; text: string }

/** Begins the line of a `failed` message that says what to do. */
export const HINT = 'hint: '

/** What went wrong, and on a line of its own what to do, where the error says that. */
export function withHint(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const hint = (error as { hint?: unknown } | null)?.hint
  return typeof hint === 'string' ? `${message}\n${HINT}${hint}` : message
}

/** Supervisor → child. */
export type SupervisorMessage = { type: 'metrics'; id: number } | { type: 'stop' }

export function readChildMessage(value: unknown): ChildMessage | null {
  const message = value as Record<string, unknown> | null
  if (typeof message !== 'object' || message === null) return null
  const { type, url, message: words, id, text, ready } = message
  if (type === 'ready' && typeof url === 'string') return { type, url }
  if (type === 'health' && typeof ready === 'boolean') return { type, ready }
  if (type === 'failed' && typeof words === 'string') return { type, message: words }
  if (type === 'metrics' && typeof id === 'number' && typeof text === 'string') return { type, id, text }
  return null
}

export function readSupervisorMessage(value: unknown): SupervisorMessage | null {
  const message = value as Record<string, unknown> | null
  if (typeof message !== 'object' || message === null) return null
  if (message['type'] === 'stop') return { type: 'stop' }
  if (message['type'] === 'metrics' && typeof message['id'] === 'number') {
    return { type: 'metrics', id: message['id'] }
  }
  return null
}
