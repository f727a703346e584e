// The routes of devices and certificates on the roll.
import type { Api } from '../http/api.ts'
import { type CertificateServices, certificateRoutes } from './certificate-routes.ts'
import {
  type CertificateTransitionServices,
  certificateTransitionRoutes,
} from './certificate-transition-routes.ts'
import { type DeviceServices, deviceRoutes } from './device-routes.ts'

export function rollRoutes(
  api: Api,
  services: DeviceServices & CertificateServices & CertificateTransitionServices,
): void {
  deviceRoutes(api, services)
  certificateRoutes(api, services)
  certificateTransitionRoutes(api, services)
}
