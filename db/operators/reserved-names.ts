// Names under which parts of the service itself act in the audit log, and which no operator may bear.

/** Compared without regard to case: a log is read by people. */
const RESERVED: ReadonlySet<string> = new Set(
  'broker engine gate provisioning rollcall root simulator supervisor system time'.split(' '),
)

/** The service's own token acts under this name; it is made by the service and by nobody else. */
export const ADMIN_TOKEN_NAME = 'admin.token'

export function isReservedName(name: string): boolean {
  return RESERVED.has(name.toLowerCase())
}
