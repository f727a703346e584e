// What operators set about TPMs: which manufacturers vouch for them, and the endorsement key of a device.
import type { RegistryWriter } from '../../db/index.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import { anchorProblems } from '../anchors/anchor-problems.ts'
import { IssuerParams } from '../anchors/issuer-schemas.ts'
import { type Api, refusals, secured } from '../http/api.ts'
import { Problem } from '../http/problem.ts'
import { DeviceParams, NoQuery } from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import type { AuthorizationScope } from '../operators/authorization-scope.ts'
import { type TpmReader, toTpmResponse } from './tpm-response.ts'
import * as schemas from './tpm-schemas.ts'

export type TpmServices = {
  writer: RegistryWriter
  issuers: () => Map<string, Issuer>
  tpms: TpmReader
  log: Log
  authorizationScope: AuthorizationScope
}

export function tpmRoutes(api: Api, services: TpmServices): void {
  const { writer, issuers, authorizationScope, tpms, log } = services
  const about = { tags: ['enrollment'], security: secured, querystring: NoQuery }
  const path = '/v1/issuers/:issuer/tpm'

  function anchorOf(issuerId: string) {
    const issuer = issuers().get(issuerId)
    if (issuer === undefined)
      throw new Problem(anchorProblems, 'issuer_unknown', `no issuer ${issuerId} is registered`)
    if (issuer.kind !== 'foreign')
      throw new Problem(anchorProblems, 'issuer_own', 'only other CAs certify endorsement keys')
    return { issuerId, ...writer.tpmAnchor(issuerId) }
  }

  api.get(
    path,
    {
      schema: {
        ...about,
        summary: 'Whether endorsement keys under this CA are trusted',
        params: IssuerParams,
        response: { 200: schemas.TpmAnchor, ...refusals },
      },
    },
    async request => anchorOf(request.params.issuer),
  )

  api.put(
    path,
    {
      schema: {
        ...about,
        summary: 'Let this CA vouch for TPMs, or not',
        description:
          'What is left out stays as it is. active: each TPM of this manufacturer gets a certificate, whatever its buyer; pending: after approval.',
        params: IssuerParams,
        body: schemas.NewTpmAnchor,
        response: { 200: schemas.TpmAnchor, ...refusals },
      },
    },
    async request => {
      const issuerId = request.params.issuer
      const { issuerId: _, devices: __, ...before } = anchorOf(issuerId)
      const settings = { ...before, ...request.body }
      if (settings.group !== null) authorizationScope.groupsFor(request, [settings.group])
      await writer.setTpmAnchor(issuerId, settings, actorOf(request))
      log.anchorEnrollmentSet(callerOf(request), issuerId, `tpm ${settings.mode}`)
      return anchorOf(issuerId)
    },
  )

  const device = '/v1/devices/:id/endorsement-key'
  api.get(
    device,
    {
      schema: {
        ...about,
        summary: 'The TPM of a device, and what it proved',
        params: DeviceParams,
        response: { 200: schemas.DeviceTpm, ...refusals },
      },
    },
    async request => toTpmResponse(tpms, request.params.id),
  )

  api.put(
    device,
    {
      schema: {
        ...about,
        summary: 'Put the endorsement key of a device on record, or take it off',
        description:
          'The SHA-256 of its SubjectPublicKeyInfo: a TPM with this endorsement key is the device, whatever its manufacturer. null ends that, and what it proved is attested no more.',
        params: DeviceParams,
        body: schemas.NewEndorsementKey,
        response: { 200: schemas.DeviceTpm, ...refusals },
      },
    },
    async request => {
      const { id } = request.params
      await writer.setEndorsementKey(id, request.body.endorsementKey, actorOf(request))
      log.deviceChanged(callerOf(request), id)
      return toTpmResponse(tpms, id)
    },
  )
}
