// The routes of issuers and trust anchors. Uploads of CRLs have a scope of their own, with their own body parsers.

import type { Api } from '../http/api.ts'
import { anchorEndRoutes } from './anchor-end-routes.ts'
import { type IssuerCrlServices, issuerCrlRoutes } from './issuer-crl-routes.ts'
import { type IssuerServices, issuerRoutes } from './issuer-routes.ts'
import { type TrustAnchorServices, trustAnchorRoutes } from './trust-anchor-routes.ts'

export async function anchorRoutes(
  api: Api,
  services: IssuerServices & TrustAnchorServices & IssuerCrlServices,
): Promise<void> {
  issuerRoutes(api, services)
  trustAnchorRoutes(api, services)
  anchorEndRoutes(api, services)
  await api.register(async scope => issuerCrlRoutes(scope as Api, services))
}
