// The routes of devices and certificates on the roll.
import type { GroupReader } from '../../db/roll/groups.ts'
import type { Api } from '../http/api.ts'
import { type CertificateServices, certificateRoutes } from './certificate-routes.ts'
import {
  type CertificateTransitionServices,
  certificateTransitionRoutes,
} from './certificate-transition-routes.ts'
import { type DeviceServices, deviceRoutes } from './device-routes.ts'
import { groupRoutes } from './group-routes.ts'

export function rollRoutes(
  api: Api,
  services: DeviceServices & CertificateServices & CertificateTransitionServices & { groups: GroupReader },
): void {
  deviceRoutes(api, services)
  groupRoutes(api, services)
  certificateRoutes(api, services)
  certificateTransitionRoutes(api, services)
}
