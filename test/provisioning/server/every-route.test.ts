// What holds for every route: generated from the table of access.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { accessTable } from '../../../provisioning/operators/access.ts'
import { assertProblem, type Service, startService } from '../harness.ts'

let service: Service
before(async () => {
  service = await startService({ receiptTimeoutMs: 10, failuresPerMinuteMax: 100_000 })
})
after(() => service[Symbol.asyncDispose]())

const rows = Object.entries(accessTable).flatMap(([route, right]) => {
  const [method, url] = route.split(' ') as [string, string]
  return 'role' in right ? [{ route, method, url, path: pathOf(url) }] : []
})

function pathOf(url: string): string {
  return url
    .replace(/:(fingerprint|issuer|operator)/, 'f'.repeat(64))
    .replace(/:(token)/, '00000000-0000-0000-0000-000000000000')
    .replace(':kind', 'group')
    .replace(/:\w+/g, 'nothing')
}

/** Routes that take more than 64 KiB, with a test of their own bound. */
const larger = new Set(['PUT /v1/issuers/:issuer/crl', 'POST /v1/jobs'])

for (const { route, method, url, path } of rows) {
  test(`${route} refuses a query it does not know, a token in one, and tells no secret`, async () => {
    for (const query of [
      'unknown=1',
      `access_token=${service.token}`,
      `token=${service.token}`,
      '__proto__=1',
    ]) {
      const known = await service.call(method, `${path}?${query}`)
      assertProblem(known, 400, 'request_invalid')
      assert.equal(known.text.includes(service.token), false)
      const unknown = await service.call(method, `${path}?${query}`, undefined, { token: null })
      assertProblem(unknown, 401, 'token_missing')
    }
  })

  const names = url.match(/:\w+/g) ?? []
  if (names.length > 0) {
    test(`${route} takes no name that is a path, an inherited one, or endless`, async () => {
      for (const bad of [
        '..%2F..%2Fadmin.token',
        '%2e%2e',
        'a%00',
        '__proto__',
        'constructor',
        '%C0%AE',
        'x'.repeat(600),
      ]) {
        for (const name of names) {
          const answer = await service.call(method, pathOf(url.replace(name, bad)))
          assert.ok(
            [400, 404, 414].includes(answer.status),
            `${name} ${bad}: ${answer.status} ${answer.text}`,
          )
          assert.doesNotMatch(answer.text, /rc_[A-Za-z0-9_-]{43}|PRIVATE KEY/)
        }
      }
    })
  }

  if (method === 'GET') {
    test(`HEAD of ${route} asks for the same right`, async () => {
      assert.equal((await service.call('HEAD', path, undefined, { token: null })).status, 401)
    })
    continue
  }
  test(`${route} refuses unknown fields, bodies that are none, and every odd content type`, async () => {
    const bodies = ['{"unknown":1}', '[]', '"x"', '7', '{"__proto__":{}}', '{', '']
    const types = [
      'application/json',
      'application/json\t;',
      'APPLICATION/JSON',
      'text/plain',
      'application/jsonx',
      '*/*',
    ]
    types.push(
      'a',
      'multipart/form-data; boundary=x',
      'application/pkcs10x',
      'application/json;charset=utf-7',
    )
    for (const [index, raw] of bodies.entries()) {
      for (const type of [types[0]!, types[1 + (index % (types.length - 1))]!, types.at(-1 - index)!]) {
        const answer = await service.call(method, path, undefined, { raw, headers: { 'content-type': type } })
        assert.ok([400, 415].includes(answer.status), `${type} ${raw}: ${answer.status} ${answer.text}`)
        assert.ok(answer.body.errors === undefined || answer.body.errors.length > 0)
      }
    }
    const raw = JSON.stringify({ x: 'y'.repeat(70_000) })
    if (!larger.has(route))
      assertProblem(await service.call(method, path, undefined, { raw }), 413, 'body_too_large')
  })
}

test('every list takes limit and cursor, and refuses those that are none', async () => {
  const { body } = await service.call('GET', '/openapi.json')
  const lists = Object.entries(body.paths as Record<string, { get?: Operation }>).filter(
    ([, { get }]) =>
      get?.responses['200']?.content?.['application/json']?.schema.properties?.['items'] !== undefined,
  )
  assert.ok(lists.length >= 8)
  for (const [path, { get }] of lists) {
    const parameters = (get!.parameters ?? []).map(({ name }) => name)
    assert.ok(parameters.includes('limit') && parameters.includes('cursor'), path)
    if (path.includes('{')) continue
    for (const query of ['limit=0', 'limit=501', 'limit=x', 'limit=1&limit=2', `cursor=${'a'.repeat(600)}`]) {
      assertProblem(await service.call('GET', `${path}?${query}`), 400, 'request_invalid')
    }
    assertProblem(await service.call('GET', `${path}?cursor=Li4v`), 400, 'cursor_invalid')
  }
})

type Operation = {
  parameters?: { name: string }[]
  responses: Record<
    string,
    { content?: Record<string, { schema: { properties?: Record<string, unknown> } }> }
  >
}
