// All routes of the API: each feature registers its own. A scope of its own keeps the body parsers of a feature with it.
import { acmeRoutes } from '../acme/acme-routes.ts'
import { anchorRoutes } from '../anchors/routes.ts'
import { auditRoutes } from '../audit/audit-routes.ts'
import { caRoutes } from '../ca/ca-routes.ts'
import { cmpRoutes } from '../cmp/cmp-routes.ts'
import type { EnrollmentAuthentication } from '../enrollment/enrollment-authentication.ts'
import { enrollmentAreaRoutes } from '../enrollment/routes.ts'
import { estRoutes } from '../est/est-routes.ts'
import { eventRoutes } from '../events/event-routes.ts'
import { admissionRoutes } from '../explain/explain-routes.ts'
import type { Api } from '../http/api.ts'
import { bulkRoutes } from '../jobs/routes.ts'
import { nodeRoutes } from '../nodes/node-routes.ts'
import type { Authentication } from '../operators/authentication.ts'
import type { ConsoleSessions } from '../operators/console-sessions.ts'
import { operatorRoutes } from '../operators/operator-routes.ts'
import { sessionRoutes } from '../operators/session-routes.ts'
import { historyRoutes } from '../overview/history-routes.ts'
import { overviewRoutes } from '../overview/overview-routes.ts'
import { stateRoutes } from '../overview/state-routes.ts'
import { policiesRoutes } from '../policies/routes.ts'
import { retainedRoutes } from '../retained/retained-routes.ts'
import { rollRoutes } from '../roll/routes.ts'
import type { SelfAuthentication } from '../self-service/self-authentication.ts'
import { selfRoutes } from '../self-service/self-routes.ts'
import type { Services } from '../services.ts'
import { deviceSessionRoutes } from '../sessions/session-routes.ts'
import { tpmEnrollmentRoutes } from '../tpm/tpm-enrollment-routes.ts'
import { tpmRoutes } from '../tpm/tpm-routes.ts'
import { tryoutRoutes } from '../tryouts/tryout-routes.ts'
import { webhookRoutes } from '../webhooks/webhook-routes.ts'
import { addressOf } from './connection-bounds.ts'
import { problemHandler } from './problem-answers.ts'
import { problemOf } from './problem-list.ts'
import { serviceRoutes } from './service-routes.ts'

type RouteOptions = {
  /** How operators, enrolling devices and devices with a certificate authenticate. */
  authentication: Authentication
  enrollment: EnrollmentAuthentication
  self: SelfAuthentication
  sessions: ConsoleSessions
  renewExpiredMs: number
}

export async function registerRoutes(api: Api, services: Services, options: RouteOptions): Promise<void> {
  const { authentication, enrollment, self, sessions, renewExpiredMs } = options
  const scoped = (add: (scope: Api) => unknown) =>
    api.register(async scope => {
      await add(scope as Api)
    })
  await scoped(async scope => {
    rollRoutes(scope, services)
    caRoutes(scope, services)
    policiesRoutes(scope, services)
    overviewRoutes(scope, services)
    historyRoutes(scope, services)
    stateRoutes(scope, services)
    deviceSessionRoutes(scope, services)
    nodeRoutes(scope, services)
    retainedRoutes(scope, services)
    webhookRoutes(scope, services)
    admissionRoutes(scope, services)
    auditRoutes(scope, services)
    operatorRoutes(scope, services)
    serviceRoutes(scope, services)
    await bulkRoutes(scope, services, authentication)
    await anchorRoutes(scope, services)
    await enrollmentAreaRoutes(scope, services, enrollment)
    tpmRoutes(scope, services)
    tpmEnrollmentRoutes(scope, services, { authentication: enrollment, addressOf })
  })
  await scoped(scope => sessionRoutes(scope, services, { sessions, authentication }))
  await scoped(scope => eventRoutes(scope, services, authentication))
  await scoped(scope => tryoutRoutes(scope, services, authentication))
  await scoped(scope => selfRoutes(scope, services, self))
  await scoped(scope => estRoutes(scope, services, { enrollment, self, renewExpiredMs }))
  await scoped(scope => cmpRoutes(scope, services, { enrollment, self, problemOf, addressOf }))
  await scoped(scope =>
    acmeRoutes(scope, services, {
      ...{ enrollment, self, problemOf },
      problemHandler: finish => problemHandler(services.log, finish),
    }),
  )
}
