// The pages of the menu, in order, and the role that each needs.
import type { Role } from '../../client/operators.ts'
import type { IconName } from '../components/icon.tsx'

export type MenuRoute = {
  path: string
  title: string
  icon: IconName
  least: Role
  /** Closed to an operator bound to one group: nothing on the page is about single devices. */
  everyone?: true
}

export const routes: readonly MenuRoute[] = [
  { path: '/', title: 'Overview', icon: 'overview', least: 'viewer' },
  { path: '/devices', title: 'Devices', icon: 'devices', least: 'viewer' },
  { path: '/sessions', title: 'Sessions', icon: 'sessions', least: 'viewer' },
  { path: '/retained', title: 'Retained', icon: 'retained', least: 'viewer' },
  { path: '/enroll', title: 'Enroll', icon: 'enroll', least: 'enroller' },
  { path: '/approvals', title: 'Approvals', icon: 'approvals', least: 'viewer' },
  { path: '/policies', title: 'Policies', icon: 'policies', least: 'viewer', everyone: true },
  { path: '/issuers', title: 'Issuers', icon: 'issuers', least: 'viewer', everyone: true },
  { path: '/live', title: 'Live feed', icon: 'live', least: 'viewer' },
  { path: '/audit', title: 'Audit', icon: 'audit', least: 'viewer', everyone: true },
  { path: '/webhooks', title: 'Webhooks', icon: 'webhooks', least: 'admin', everyone: true },
  { path: '/access', title: 'Access', icon: 'key', least: 'admin' },
  { path: '/settings', title: 'Settings', icon: 'settings', least: 'operator', everyone: true },
]

const ranks: Record<Role, number> = { viewer: 0, enroller: 1, operator: 2, admin: 3 }

/** Whether an operator of this role, bound to this group or to none, sees the page in the menu. */
export function mayOpen(route: MenuRoute, role: Role, group: string | null): boolean {
  return ranks[role] >= ranks[route.least] && !(route.everyone && group !== null)
}

/** The menu entry that an address belongs to. */
export function routeOf(path: string): MenuRoute | undefined {
  return routes.find(
    route => path === route.path || (route.path !== '/' && path.startsWith(`${route.path}/`)),
  )
}
