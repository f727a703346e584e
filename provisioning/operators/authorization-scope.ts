// The authorization scope of a caller: which devices it covers, and which rights the caller may pass on to one.
// A caller bound to a group learns nothing of other devices: what is not in the group is unknown.

import type { FastifyRequest } from 'fastify'
import type { GrantLookup } from '../../db/enrollment/grants.ts'
import type { Holder } from '../../db/operators/token-store.ts'
import type { Attachment } from '../../db/policies/policy-store.ts'
import type { ApprovalTerms } from '../../db/roll/approval.ts'
import type { RollReader } from '../../db/roll/roll-reader.ts'
import { Problem } from '../http/problem.ts'
import { rollProblems } from '../http/roll-problems.ts'
import { includesRole } from './access.ts'
import { operatorProblems } from './operator-problems.ts'

type Attributes = Readonly<Record<string, string>>
/** A device as it is to be. */
type Settable = { id: string; groups: readonly string[]; attributes: Attributes }
type Caller = Pick<Holder, 'role' | 'scope'>

export type AuthorizationScope = {
  /** Throws `device_unknown` where the device is not within the caller's group. */
  assertDevice(request: FastifyRequest, id: string): Promise<void>
  /** Throws `certificate_unknown` where the certificate's device is not. */
  assertCertificate(request: FastifyRequest, fingerprint: string): Promise<void>
  /** The groups a new device is put into. Throws `group_forbidden` where one would give it more than the caller may. */
  groupsFor(request: FastifyRequest, asked: readonly string[] | undefined): string[]
  /** Throws `group_forbidden` where the device has rights that the caller may not hand on with a certificate or token. */
  assertMayCertify(request: FastifyRequest, deviceId: string): void
  /** Throws `role_insufficient` where the caller may not take the grace from the certificate that a new one follows. */
  assertMayEndGrace(request: FastifyRequest): void
  /**
   * Whether what the caller certifies waits for an operator: an enroller's does where the device holds a certificate, and
   * anybody's where it has rights by then that he may not hand on.
   */
  approvalFor(request: FastifyRequest): false | ApprovalTerms
  /**
   * Throws `attribute_forbidden` where the caller would set, change or remove an attribute that a policy reads which he may
   * not hand on: what a policy reads is a right.
   */
  assertMaySet(request: FastifyRequest, device: Settable, held?: Attributes): void
  /** Throws `attribute_forbidden` likewise, where a policy reads the serial number that a foreign certificate brings. */
  assertMayRegister(request: FastifyRequest, device: Omit<Settable, 'attributes'>): void
  /** Throws `group_forbidden` where a caller bound to a group would change the groups of a device. */
  assertMayMove(request: FastifyRequest, deviceId: string, groups: readonly string[]): Promise<void>
}

/**
 * The first of these attachments that the caller may not pass on: an operator without a scope may pass on all, an enroller none,
 * a caller bound to a group those of that group.
 */
export function outsideScope(caller: Caller, attachments: readonly Attachment[]): Attachment | null {
  if (caller.scope === null && includesRole(caller.role, 'operator')) return null
  return attachments.find(({ kind, target }) => kind !== 'group' || target !== caller.scope) ?? null
}

/** A hook that holds every route to the scope that access.ts gives it. */
export function holdScope(authorizationScope: AuthorizationScope) {
  return async (request: FastifyRequest): Promise<void> => {
    const { right } = request.routeOptions.config
    if (right === undefined || 'access' in right) return
    const { id, fingerprint } = request.params as { id?: string; fingerprint?: string }
    if (right.scope === 'device') await authorizationScope.assertDevice(request, id!)
    if (right.scope === 'certificate') await authorizationScope.assertCertificate(request, fingerprint!)
  }
}

/** The group the caller is bound to, or null. */
export function scopeOf(request: FastifyRequest): string | null {
  return callerOf(request).scope
}

export function createAuthorizationScope(parts: {
  roll: Pick<RollReader, 'device' | 'certificate'>
  grants: GrantLookup
}): AuthorizationScope {
  const { roll, grants } = parts

  /** Throws where a policy outside the caller's scope reads one of these variables. */
  function assertReads(
    request: FastifyRequest,
    { id, groups }: Omit<Settable, 'attributes'>,
    variables: readonly string[],
  ): void {
    const caller = callerOf(request)
    for (const { name, attachment } of grants.variables(id, groups)) {
      if (!variables.includes(name) || outsideScope(caller, [attachment]) === null) continue
      throw new Problem(
        operatorProblems,
        'attribute_forbidden',
        `a policy for ${holdersOf(attachment)} reads ${name}: what it is decides rights that the caller may not give`,
      )
    }
  }

  async function isWithin(scope: string, deviceId: string): Promise<boolean> {
    return (await roll.device(deviceId))?.groups.includes(scope) ?? false
  }

  return {
    async assertDevice(request, id) {
      const scope = scopeOf(request)
      if (scope === null || (await isWithin(scope, id))) return
      throw new Problem(rollProblems, 'device_unknown', `no device ${id} is registered`)
    },

    async assertCertificate(request, fingerprint) {
      const scope = scopeOf(request)
      if (scope === null) return
      const certificate = await roll.certificate(fingerprint)
      if (certificate !== null && (await isWithin(scope, certificate.deviceId))) return
      throw new Problem(rollProblems, 'certificate_unknown', `no certificate ${fingerprint} is on the roll`)
    },

    groupsFor(request, asked) {
      const caller = callerOf(request)
      if (caller.scope !== null) {
        if (asked === undefined || (asked.length === 1 && asked[0] === caller.scope)) return [caller.scope]
        throw new Problem(
          operatorProblems,
          'group_forbidden',
          `the caller registers devices into group ${caller.scope} alone`,
        )
      }
      const groups = [...(asked ?? [])]
      assertWithin(caller, grants.groups(groups))
      return groups
    },

    assertMayCertify: (request, deviceId) => assertWithin(callerOf(request), grants.device(deviceId)),

    assertMayEndGrace(request) {
      if (includesRole(callerOf(request).role, 'operator')) return
      throw new Problem(
        operatorProblems,
        'role_insufficient',
        'the reason keyCompromise ends the grace of the certificate in use: that is for operators to say',
      )
    },

    approvalFor(request) {
      const { role, scope } = callerOf(request)
      const isOperator = includesRole(role, 'operator')
      return isOperator && scope === null ? false : { ifHeld: !isOperator, within: scope ?? '' }
    },

    assertMaySet(request, { id, groups, attributes }, held = {}) {
      const names = [...new Set([...Object.keys(attributes), ...Object.keys(held)])]
      const changed = names.filter(name => attributeIn(attributes, name) !== attributeIn(held, name))
      assertReads(
        request,
        { id, groups },
        changed.map(name => `device.attr.${name}`),
      )
    },

    assertMayRegister: (request, device) => assertReads(request, device, ['cert.serial']),

    async assertMayMove(request, deviceId, groups) {
      const scope = scopeOf(request)
      if (scope === null) return
      const held = new Set((await roll.device(deviceId))?.groups)
      if (held.size === groups.length && groups.every(group => held.has(group))) return
      throw new Problem(
        operatorProblems,
        'group_forbidden',
        `the caller is bound to group ${scope} and may not change groups`,
      )
    },
  }
}

function assertWithin(caller: Caller, attachments: readonly Attachment[]): void {
  const beyond = outsideScope(caller, attachments)
  if (beyond === null) return
  const to = beyond.kind === 'device' ? 'the device' : `group ${beyond.target}`
  throw new Problem(
    operatorProblems,
    'group_forbidden',
    `a policy is attached to ${to}: its members are for operators without a group to set`,
  )
}

function holdersOf({ kind, target }: Attachment): string {
  return kind === 'everyone' ? 'all devices' : `${kind} ${target}`
}

function attributeIn(attributes: Attributes, name: string): string | undefined {
  return Object.hasOwn(attributes, name) ? attributes[name] : undefined
}

function callerOf({ holder }: FastifyRequest): Caller {
  if (holder === null) throw new Error('how far nobody reaches was asked')
  return holder
}
