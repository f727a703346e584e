// How many trials on the fleet one operator may have at once: others have theirs beside them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { policyTrialRoutes } from '../../../provisioning/policies/policy-trial-routes.ts'

type Handler = (request: object, reply: object) => Promise<unknown>
type Options = { onRequest?: (request: object) => Promise<unknown> }

test('two trials of one operator run at once, and those of others beside them', async () => {
  const routes = new Map<string, { options: Options; handler: Handler }>()
  const api = {
    get() {},
    post: (path: string, options: Options, handler: Handler) => routes.set(path, { options, handler }),
  }
  const ends: (() => void)[] = []
  const run = () => new Promise<string>(resolve => ends.push(() => resolve('tried')))
  policyTrialRoutes(api as never, { policies: {}, fleetTrials: { run } } as never)
  const document = {
    name: 'p',
    statements: [{ effect: 'allow', actions: ['publish'], topics: ['a'] }],
  }
  const reply = {
    raw: { once() {} },
    type: () => reply,
    serializer: () => reply,
    send: (sent: unknown) => sent,
  }
  const fleet = () => routes.get('/v1/policies/:name/simulate/fleet')!
  const beforeBody = async (id: string) => fleet().options.onRequest?.({ holder: { id } })
  const ask = (id: string, sent: object = { document }) =>
    fleet().handler({ holder: { id }, params: { name: 'p' }, body: sent }, reply)
  const busy = { reason: 'service_busy', message: /2 trials of yours/ }

  const running = [ask('a'), ask('a')]
  await assert.rejects(ask('a'), busy)
  await assert.rejects(ask('a', { document: 'no policy' }), busy, 'before the document is looked at')
  await assert.rejects(beforeBody('a'), busy, 'before its body is read')
  await beforeBody('b')
  running.push(ask('b'))
  assert.equal(ends.length, 3)
  ends[0]?.()
  assert.equal(await running[0], 'tried')
  running.push(ask('a'))
  await assert.rejects(ask('a'), busy)
  for (const end of ends) end()
  await Promise.all(running)
  await assert.rejects(ask('a', { document: 'no policy' }), { reason: 'policy_invalid' })
  await assert.rejects(
    ask('a', { document: 'no policy' }),
    { reason: 'policy_invalid' },
    'a refusal ends, too',
  )
  await assert.rejects(ask('a', { document: 'no policy' }), { reason: 'policy_invalid' })
})
