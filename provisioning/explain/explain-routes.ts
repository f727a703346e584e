// Would it be admitted now, and if not, why: for a device, a listed certificate, or any certificate at all.

import { type Api, refusals, secured } from '../http/api.ts'
import * as schemas from '../http/schemas.ts'
import type { Explainer } from './explain.ts'

type ExplainServices = {
  explainer: Explainer
}

export function admissionRoutes(api: Api, { explainer }: ExplainServices): void {
  const tags = ['admission']
  const response = { 200: schemas.Explanation, ...refusals }

  api.get(
    '/v1/devices/:id/admission',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Would this device be admitted, and if not, why',
        params: schemas.DeviceParams,
        querystring: schemas.NoQuery,
        response,
      },
    },
    async request => explainer.device(request.params.id),
  )

  api.get(
    '/v1/certificates/:fingerprint/admission',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Would this certificate be admitted, and if not, why',
        params: schemas.CertificateParams,
        querystring: schemas.NoQuery,
        response,
      },
    },
    async request => explainer.certificate(request.params.fingerprint),
  )

  api.post(
    '/v1/admission',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Would the bearer of this certificate be admitted, and if not, why',
        body: schemas.AdmissionQuestion,
        querystring: schemas.NoQuery,
        response,
      },
    },
    async request => explainer.presented(request.body.certificate),
  )
}
