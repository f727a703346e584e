// What a caller bound to the group `pumps` may do with enrollment tokens and claims: of its group, and of nothing else.
// A device pump-1 is in that group, a device valve-1 is not.
import assert from 'node:assert/strict'
import { assertProblem, type Service } from './harness.ts'

type Bound = () => { service: Service; token: string }

export function enrollmentProofs(bound: Bound): Record<string, () => Promise<void>> {
  const path = '/v1/enrollment-tokens'

  /** A token of the bound caller's own, and one of somebody else's for another device. */
  async function made(): Promise<{ own: string; other: string }> {
    const { service, token } = bound()
    const own = await service.call('POST', path, { deviceId: 'pump-1' }, { token })
    const other = await service.call('POST', path, { deviceId: 'valve-1' })
    return { own: own.body.id, other: other.body.id }
  }

  async function oneOf(method: string, verb: string): Promise<void> {
    const { service, token } = bound()
    const { own, other } = await made()
    assert.equal((await service.call(method, `${path}/${own}${verb}`, undefined, { token })).status, 200)
    const refused = await service.call(method, `${path}/${other}${verb}`, undefined, { token })
    assertProblem(refused, 404, 'enrollment_token_unknown')
    assert.equal((await service.call('GET', `${path}/${other}`)).body.status, 'open')
  }

  return {
    [`POST ${path}`]: async () => {
      const { service, token } = bound()
      const make = (order: object) => service.call('POST', path, order, { token })
      assert.equal((await make({ group: 'pumps' })).body.group, 'pumps')
      assert.equal((await make({ deviceId: 'pump-1' })).status, 201)
      assertProblem(await make({ group: 'valves' }), 403, 'group_forbidden')
      assertProblem(await make({ group: 'backend' }), 403, 'group_forbidden')
      assertProblem(await make({ deviceId: 'valve-1' }), 404, 'device_unknown')
    },
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
