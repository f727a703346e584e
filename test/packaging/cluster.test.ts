// The profile `cluster` of docker-compose.yml, as far as it can be held without a container engine: what reaches PostgreSQL and the bus, and
// what the second machine is given of the first.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { readBusAddress } from '../../broker/bus/address.ts'
import { readPostgresSettings } from '../../db/replication/postgres.ts'
import { repository } from '../cli/running.ts'

type Service = {
  image: string
  user: string
  entrypoint?: string[]
  command: string[]
  environment?: Record<string, string>
  network_mode?: string
  networks?: string[]
  ports?: string[]
  profiles: string[]
  read_only: boolean
  cap_drop: string[]
  security_opt: string[]
  secrets?: string[]
  volumes?: string[]
  depends_on?: Record<string, unknown>
}
const compose = parse(readFileSync(join(repository, 'docker-compose.yml'), 'utf8'), { merge: true })
const services = Object.entries(compose.services as Record<string, Service>).filter(([, { profiles }]) =>
  profiles?.includes('cluster'),
)
const of = (name: string): Service => services.find(([each]) => each === name)![1]
const socketOf = ({ volumes }: Service) =>
  volumes?.find(volume => volume.startsWith('postgres-socket:'))?.split(':')[1]

describe('the profile cluster', () => {
  it('has two machines and what they share, each with no more rights than it needs', () => {
    assert.deepEqual(services.map(([name]) => name).sort(), ['nats', 'one', 'postgres', 'two', 'two-ca'])
    for (const [name, service] of services) {
      assert.ok(service.user && !/^(0|root)\b/.test(service.user), name)
      assert.deepEqual(
        [service.read_only, service.cap_drop, service.security_opt],
        [true, ['ALL'], ['no-new-privileges:true']],
        name,
      )
      for (const needed of Object.keys(service.depends_on ?? {}))
        assert.ok(
          services.some(([each]) => each === needed),
          needed,
        )
    }
    for (const name of ['postgres', 'nats'])
      assert.match(of(name).image, /^\$\{[A-Z]+_IMAGE:-[a-z]+:\d+\.\d+(\.\d+)?\}$/)
  })

  it('lets PostgreSQL be reached by its socket alone, by the machines alone', () => {
    const postgres = of('postgres')
    assert.equal(postgres.network_mode, 'none')
    assert.ok(postgres.command.includes('listen_addresses='))
    assert.equal(postgres.environment?.['POSTGRES_HOST_AUTH_METHOD'], 'trust')
    const mounting = Object.entries(compose.services as Record<string, Service>)
      .filter(([, service]) => service.volumes?.some?.(volume => String(volume).startsWith('postgres')))
      .map(([name]) => name)
    assert.deepEqual(mounting.sort(), ['one', 'postgres', 'two'])
    for (const name of ['one', 'two']) {
      const url = of(name).command.flatMap(arg => /^--registry=(.+)$/.exec(arg)?.[1] ?? [])[0]!
      const { servers, user } = readPostgresSettings(url)
      assert.deepEqual(
        [servers[0]?.host, user],
        [socketOf(of(name)), postgres.environment?.['POSTGRES_USER']],
      )
    }
  })

  it('keeps the bus in a network of the machines, with a password from a file', () => {
    assert.deepEqual([of('nats').networks, of('nats').ports], [['bus'], undefined])
    assert.equal(compose.networks.bus.internal, true)
    const onBus = services.filter(([, { networks }]) => networks?.includes('bus')).map(([name]) => name)
    assert.deepEqual(onBus.sort(), ['nats', 'one', 'two'])
    const directory = mkdtempSync(join(tmpdir(), 'rollcall-compose-'))
    try {
      writeFileSync(join(directory, 'bus.password'), 'x', { mode: 0o400 })
      for (const name of ['one', 'two']) {
        const url = of(name).command.flatMap(arg => /^--bus=(.+)$/.exec(arg)?.[1] ?? [])[0]!
        const { servers } = readBusAddress(url.replace('/run/secrets', directory))
        assert.deepEqual([servers, of(name).secrets], [['nats:4222'], ['bus.password']])
      }
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
    for (const ignoring of ['.gitignore', '.dockerignore']) {
      const lines = readFileSync(join(repository, ignoring), 'utf8').split('\n')
      for (const { file } of Object.values(compose.secrets as Record<string, { file: string }>))
        assert.ok(lines.includes(file.replace('./', ignoring === '.gitignore' ? '/' : '')), file)
    }
  })

  it('copies to the second machine the CA of the first, and neither its server key nor its locks', () => {
    const { entrypoint, command, network_mode: network } = of('two-ca')
    assert.deepEqual([entrypoint, command[0], network], [['/nodejs/bin/node'], '-e', 'none'])
    const directory = mkdtempSync(join(tmpdir(), 'rollcall-compose-'))
    const at = (...path: string[]) => join(directory, ...path)
    try {
      for (const path of [at('first', 'keys'), at('data')]) mkdirSync(path, { recursive: true })
      const copied = ['ca.crt', 'issuing.crt', 'admin.token', 'audit.pub', 'keys/root.key']
      const kept = ['server.crt', 'keys/server.key', 'keys/provisioning.lock', 'registry.db']
      for (const name of [...copied, ...kept]) writeFileSync(at('first', name), name, { mode: 0o600 })
      const script = command[1]!
        .replaceAll("'/first/'", `'${at('first')}/'`)
        .replaceAll("'/data/'", `'${at('data')}/'`)
      for (let times = 0; times < 2; times += 1) execFileSync(process.execPath, ['-e', script])
      for (const name of copied) assert.equal(readFileSync(at('data', name), 'utf8'), name)
      for (const name of kept) assert.ok(!existsSync(at('data', name)), name)
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})
