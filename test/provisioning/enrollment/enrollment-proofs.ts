// What a caller bound to the group `pumps` may do with enrollment tokens and claims: of its group, and of nothing else.
// A device pump-1 is in that group, a device valve-1 is not.
import assert from 'node:assert/strict'
import { assertProblem, makeCsr, type Service } from '../harness.ts'

type Bound = () => { service: Service; token: string }

export function enrollmentProofs(bound: Bound): Record<string, () => Promise<void>> {
  return {
    ...proofsOf('/v1/enrollment-tokens', 'enrollment_token_unknown', bound, async (service, own, token) => {
      const order = { deviceId: own ? 'pump-1' : 'valve-1' }
      return (await service.call('POST', '/v1/enrollment-tokens', order, token)).body.id
    }),
    ...proofsOf('/v1/claims', 'claim_unknown', bound, async (service, own, token) => {
      const order = { name: 'x', quota: 1, csr: makeCsr('p256').csr, group: own ? 'pumps' : 'valves' }
      return (await service.call('POST', '/v1/claims', order, token)).body.id
    }),
    'POST /v1/enrollment-tokens': async () => {
      const { service, token } = bound()
      const make = (order: object) => service.call('POST', '/v1/enrollment-tokens', order, { token })
      assert.equal((await make({ group: 'pumps' })).body.group, 'pumps')
      assert.equal((await make({ deviceId: 'pump-1' })).status, 201)
      assertProblem(await make({ group: 'valves' }), 403, 'group_forbidden')
      assertProblem(await make({ group: 'backend' }), 403, 'group_forbidden')
      assertProblem(await make({ deviceId: 'valve-1' }), 404, 'device_unknown')
    },
    'POST /v1/claims': async () => {
      const { service, token } = bound()
      const make = (more: object) =>
        service.call(
          'POST',
          '/v1/claims',
          { name: 'x', quota: 1, csr: makeCsr('p256').csr, ...more },
          { token },
        )
      assert.equal((await make({ group: 'pumps' })).body.group, 'pumps')
      assert.equal((await make({})).body.group, 'pumps')
      assertProblem(await make({ group: 'backend' }), 403, 'group_forbidden')
    },
  }
}

type Make = (service: Service, own: boolean, token: { token?: string }) => Promise<string>

/** Listing, reading and revoking: what is of the group, and nothing else. */
function proofsOf(
  path: string,
  unknown: string,
  bound: Bound,
  make: Make,
): Record<string, () => Promise<void>> {
  async function made(): Promise<{ own: string; other: string }> {
    const { service, token } = bound()
    return { own: await make(service, true, { token }), other: await make(service, false, {}) }
  }

  async function oneOf(method: string, verb: string): Promise<void> {
    const { service, token } = bound()
    const { own, other } = await made()
    assert.equal((await service.call(method, `${path}/${own}${verb}`, undefined, { token })).status, 200)
    const refused = await service.call(method, `${path}/${other}${verb}`, undefined, { token })
    assertProblem(refused, 404, unknown)
    assert.equal((await service.call('GET', `${path}/${other}`)).body.status, 'open')
  }

  return {
    [`GET ${path}`]: async () => {
      const { service, token } = bound()
      const { own, other } = await made()
      const { items } = (await service.call('GET', path, undefined, { token })).body
      const ids = items.map((item: { id: string }) => item.id)
      assert.ok(ids.includes(own))
      assert.equal(ids.includes(other), false)
    },
    [`GET ${path}/:id`]: () => oneOf('GET', ''),
    [`POST ${path}/:id/revoke`]: () => oneOf('POST', '/revoke'),
  }
}
