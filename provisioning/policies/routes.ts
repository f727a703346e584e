// The routes of policies and of what they come to.
import type { Api } from '../http/api.ts'
import { type PolicyServices, policyRoutes } from './policy-routes.ts'
import { type PolicyTrialServices, policyTrialRoutes } from './policy-trial-routes.ts'

export function policiesRoutes(api: Api, services: PolicyServices & PolicyTrialServices): void {
  policyRoutes(api, services)
  policyTrialRoutes(api, services)
}
