// The routes of imports and exports. Uploads have a scope of their own, where a body is a stream.
import type { Api } from '../http/api.ts'
import type { Authentication } from '../operators/authentication.ts'
import { type ExportServices, exportRoutes } from './export-routes.ts'
import { type JobServices, jobRoutes, uploadRoutes } from './job-routes.ts'

export async function bulkRoutes(
  api: Api,
  services: JobServices & ExportServices,
  authentication: Pick<Authentication, 'assertStillIn' | 'isStillIn'>,
): Promise<void> {
  jobRoutes(api, services, authentication)
  exportRoutes(api, services, authentication)
  await api.register(async scope => uploadRoutes(scope as Api, services, authentication))
}
