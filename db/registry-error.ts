// What can go wrong with the record itself, in words an operator can act on.

type RegistryErrorCode =
  | 'registry_missing'
  | 'registry_replaced'
  | 'registry_corrupt'
  | 'registry_foreign'
  | 'registry_newer'
  | 'registry_outdated'
  | 'registry_busy'
  | 'registry_full'
  | 'registry_unreadable'
  | 'registry_replicated'
  | 'registry_unreachable'
  | 'registry_refused'

/** An outage of the registry. A refused change is a value (`Conflict`), never this. */
export class RegistryError extends Error {
  readonly code: RegistryErrorCode

  constructor(code: RegistryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'RegistryError'
    this.code = code
  }
}

/** Translates what SQLite throws; anything that is not SQLite's comes back as it was. */
export function asRegistryError(error: unknown): unknown {
  const code = (error as { code?: unknown })?.code
  if (typeof code !== 'string' || !code.startsWith('SQLITE_')) return error
  const because = { cause: error }
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return new RegistryError('registry_busy', 'the registry is locked by another writer', because)
  }
  // The log's index is a file as well, and the first thing a full disk has no room for.
  if (code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_SHMSIZE') {
    return new RegistryError(
      'registry_full',
      'the disk that holds the registry is full: nothing was written',
      because,
    )
  }
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') {
    return new RegistryError('registry_corrupt', 'the registry file is damaged: restore a backup', because)
  }
  if (code.startsWith('SQLITE_CONSTRAINT')) return error
  return new RegistryError('registry_unreadable', `the registry cannot be used (${code})`, because)
}

/**
 * Whether the registry itself is out, for every caller: locked, full, gone, replaced or damaged. Anything else that a change
 * throws is about that change, and trying another one may work.
 */
export function isRegistryUnavailable(error: unknown): boolean {
  const translated = asRegistryError(error)
  return (
    translated instanceof RegistryError &&
    translated.code !== 'registry_unreadable' &&
    translated.code !== 'registry_refused'
  )
}

/** Whether it is about what a change writes: PostgreSQL refuses a row of it, and would again. */
export function isRefusedChange(error: unknown): error is RegistryError {
  return error instanceof RegistryError && error.code === 'registry_refused'
}
