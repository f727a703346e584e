// What `--registry postgres://…` may say, and where the password comes from.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { passwordFromFile } from '../../../db/replication/password-file.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'

test('TLS with verification is the default off loopback alone', () => {
  const table: [url: string, tls: unknown, host: string][] = [
    ['postgres://rollcall@db.example:5433/fleet', { ca: undefined }, 'db.example'],
    ['postgresql://rollcall@10.0.0.1/fleet', { ca: undefined }, '10.0.0.1'],
    ['postgres://rollcall@127.0.0.1/fleet', false, '127.0.0.1'],
    ['postgres://rollcall@[::1]/fleet', false, '::1'],
    ['postgres://rollcall@localhost/fleet', false, 'localhost'],
    ['postgres://rollcall@127.example/fleet', { ca: undefined }, '127.example'],
    ['postgres://rollcall@x/fleet?host=/var/run/postgresql', false, '/var/run/postgresql'],
    ['postgres://rollcall@127.0.0.1/fleet?sslmode=verify-full', { ca: undefined }, '127.0.0.1'],
    ['postgres://rollcall@db.example/fleet?sslmode=disable', false, 'db.example'],
  ]
  for (const [url, tls, host] of table) {
    const settings = readPostgresSettings(url)
    assert.deepEqual(settings.tls, tls, url)
    assert.equal(settings.servers[0]?.host, host)
  }
})

test('several servers are named as libpq has them', () => {
  const table: [url: string, servers: unknown, tls: unknown][] = [
    [
      'postgres://rollcall@a.example,b.example:5433/fleet?target_session_attrs=read-write',
      [
        { host: 'a.example', port: 5432 },
        { host: 'b.example', port: 5433 },
      ],
      { ca: undefined },
    ],
    [
      'postgres://rollcall@127.0.0.1:1,[::1]:2/fleet',
      [
        { host: '127.0.0.1', port: 1 },
        { host: '::1', port: 2 },
      ],
      false,
    ],
    [
      'postgres://rollcall@127.0.0.1,db.example/fleet',
      [
        { host: '127.0.0.1', port: 5432 },
        { host: 'db.example', port: 5432 },
      ],
      { ca: undefined },
    ],
  ]
  for (const [url, servers, tls] of table) {
    const settings = readPostgresSettings(url)
    assert.deepEqual(settings.servers, servers)
    assert.deepEqual(settings.tls, tls)
  }
})

test('what is refused names the fault and never the password', () => {
  const table: [url: string, message: RegExp][] = [
    ['postgres://rollcall:s3cret@db.example/fleet', /must hold no password/],
    ['mysql://rollcall:s3cret@db.example/fleet', /postgres:\/\//],
    ['s3cret', /postgres:\/\//],
    ['postgres://rollcall@db.example/', /database/],
    ['postgres://db.example/fleet', /user/],
    ['postgres://rollcall@db.example/fleet?sslmode=prefer', /sslmode/],
    ['postgres://rollcall@db.example/fleet?password=s3cret', /unknown parameter/],
    ['postgres://rollcall:s3cret@a.example,b.example/fleet', /must hold no password/],
    ['postgres://rollcall@a.example,/fleet', /host:port,host:port/],
    ['postgres://rollcall@a.example,b.example:x/fleet', /host:port,host:port/],
    [`postgres://rollcall@${Array(9).fill('a.example')}/fleet`, /8 at most/],
    ['postgres://rollcall@a.example,b.example/fleet?host=/run', /either/],
    ['postgres://rollcall@a.example/fleet?target_session_attrs=any', /read-write/],
  ]
  for (const [url, message] of table)
    assert.throws(
      () => readPostgresSettings(url),
      error => {
        assert.match((error as Error).message, message)
        assert.doesNotMatch((error as Error).message, /s3cret/)
        return true
      },
    )
})

test('a password file is read as libpq reads it', () => {
  const at = { host: 'db.example', port: 5432, database: 'fleet', user: 'rollcall' }
  const table: [text: string, password: string | null][] = [
    ['db.example:5432:fleet:rollcall:a', 'a'],
    ['# db.example:5432:fleet:rollcall:a\n*:*:*:rollcall:b\n', 'b'],
    ['other:*:*:*:a\n*:*:*:*:b', 'b'],
    ['*:*:*:*:with\\:colon\\\\', 'with:colon\\'],
    ['*:5433:*:*:a', null],
    ['', null],
  ]
  for (const [text, password] of table) assert.equal(passwordFromFile(text, at), password, text)
  assert.equal(passwordFromFile('localhost:*:*:*:s', { ...at, host: '/run' }), 's')
})
