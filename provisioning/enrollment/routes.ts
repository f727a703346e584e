// The routes of enrollment. Devices enroll in a scope of its own, where a body may be a bare PKCS #10 request.
import type { Api } from '../http/api.ts'
import { type ClaimServices, claimRoutes } from './claim-routes.ts'
import { type DeviceEnrollmentServices, enrollRoutes } from './device-enrollment-routes.ts'
import type { EnrollmentAuthentication } from './enrollment-authentication.ts'
import { type EnrollmentTokenServices, enrollmentTokenRoutes } from './enrollment-token-routes.ts'
import { type IdevidServices, idevidRoutes } from './idevid-routes.ts'
import { enrollmentRoutes, type OperatorEnrollmentServices } from './operator-enrollment-routes.ts'

export async function enrollmentAreaRoutes(
  api: Api,
  services: OperatorEnrollmentServices &
    EnrollmentTokenServices &
    ClaimServices &
    IdevidServices &
    DeviceEnrollmentServices,
  authentication: EnrollmentAuthentication,
): Promise<void> {
  enrollmentRoutes(api, services)
  enrollmentTokenRoutes(api, services)
  claimRoutes(api, services)
  idevidRoutes(api, services)
  await api.register(async scope => enrollRoutes(scope as Api, services, authentication))
}
