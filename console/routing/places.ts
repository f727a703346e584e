// The pages there are, in the order of the menu, and who may look at them.
import type { Role } from '../../client/operators.ts'
import type { IconName } from '../parts/icon.tsx'

export type MenuPlace = {
  path: string
  title: string
  icon: IconName
  least: Role
  /** Closed to whoever is bound to one group: nothing there is about single devices. */
  everyone?: true
}

export const places: readonly MenuPlace[] = [
  { path: '/', title: 'Overview', icon: 'overview', least: 'viewer' },
  { path: '/devices', title: 'Devices', icon: 'devices', least: 'viewer' },
  { path: '/enroll', title: 'Enroll', icon: 'enroll', least: 'enroller' },
  { path: '/approvals', title: 'Approvals', icon: 'approvals', least: 'viewer' },
  { path: '/policies', title: 'Policies', icon: 'policies', least: 'viewer', everyone: true },
  { path: '/live', title: 'Live feed', icon: 'live', least: 'viewer' },
  { path: '/audit', title: 'Audit', icon: 'audit', least: 'viewer', everyone: true },
]

/** The place of the menu that an address belongs to. */
export function placeOf(path: string): MenuPlace | undefined {
  return places.find(
    place => path === place.path || (place.path !== '/' && path.startsWith(`${place.path}/`)),
  )
}
