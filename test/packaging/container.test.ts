// What can be held about the container files without a container engine: every command, flag, port and path that they
// name exists, and nothing runs with more rights than it needs.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Option } from 'commander'
import { parse } from 'yaml'
import { nouns } from '../../cli/program.ts'
import { repository } from '../cli/running.ts'

/** One file or folder of a volume. */
type Mount = { source: string; target: string; read_only?: boolean; volume?: { subpath?: string } }

type Service = {
  image: string
  build: { context: string; args: Record<string, string> }
  user: string
  read_only: boolean
  tmpfs: string[]
  cap_drop: string[]
  security_opt: string[]
  privileged?: boolean
  entrypoint?: string[]
  command: string[]
  secrets?: string[]
  ports?: string[]
  volumes: (string | Mount)[]
  profiles?: string[]
  healthcheck?: { test: string[] }
  depends_on?: Record<string, { condition: string }>
}

const read = (name: string) => readFileSync(join(repository, name), 'utf8')
const compose = parse(read('docker-compose.yml'), { merge: true }) as {
  services: Record<string, Service>
  volumes: Record<string, unknown>
}
/** Those of our own image. */
const services = Object.entries(compose.services).filter(
  ([, { build, entrypoint }]) => build !== undefined && entrypoint === undefined,
)
const elsewhere = Object.entries(compose.services).filter(([, service]) => service.build === undefined)
const isOfCluster = ([, { profiles }]: [string, Service]) => profiles?.includes('cluster') === true
/** Those that watch ours. */
const watchers = elsewhere.filter(service => !isOfCluster(service))
/** As the base image has it. */
const NODE = '/nodejs/bin/node'
function mountOf(volume: string | Mount): Mount {
  if (typeof volume !== 'string') return volume
  const [source = '', target = '', mode] = volume.split(':')
  return { source, target, read_only: mode === 'ro' }
}

/** What a name with a default is where nobody sets it. */
const byDefault = (text: string) => text.replace(/^\$\{\w+:-(.*)\}$/, '$1')

/** Instructions of the Dockerfile, continued lines joined. */
const dockerfile = read('Dockerfile')
  .replaceAll('\\\n', ' ')
  .split('\n')
  .filter(line => line !== '' && !line.startsWith('#'))
  .map(line => ({ verb: line.split(' ')[0], rest: line.split(/ +/).slice(1).join(' ') }))
const runtime = dockerfile.slice(dockerfile.findLastIndex(line => line.verb === 'FROM'))
const manifest = JSON.parse(read('package.json'))

describe('docker-compose.yml', () => {
  it('has broker and provisioning service from one image, and the simulator behind a profile', () => {
    assert.deepEqual(services.map(([name]) => name).sort(), ['broker', 'one', 'provisioning', 'sim', 'two'])
    assert.deepEqual(watchers.map(([name]) => name).sort(), ['grafana', 'prometheus'])
    assert.equal(new Set(services.map(([, service]) => service.image)).size, 1)
    assert.deepEqual(compose.services['sim']?.profiles, ['sim'])
    for (const name of ['broker', 'provisioning']) assert.equal(compose.services[name]?.profiles, undefined)
  })

  for (const [name, service] of services) {
    it(`gives ${name} a command and flags that exist`, async () => {
      const [noun = '', ...args] = service.command
      const command = await nouns[noun]?.load()
      assert.ok(command, `${noun} is a command`)
      for (const arg of args) {
        const flag = arg.split('=')[0]
        const option: Option | undefined = command.options.find(candidate => candidate.long === flag)
        assert.ok(option, `${noun} has ${flag}`)
        assert.equal(
          option.required,
          arg.includes('=') && !option.optional,
          `${arg} has a value where one belongs`,
        )
      }
    })

    it(`runs ${name} without rights it does not need`, () => {
      assert.ok(service.user && !/^(0|root)\b/.test(service.user))
      assert.equal(service.read_only, true)
      assert.deepEqual(service.tmpfs, ['/tmp'])
      assert.deepEqual(service.cap_drop, ['ALL'])
      assert.deepEqual(service.security_opt, ['no-new-privileges:true'])
      assert.equal(service.privileged, undefined)
    })

    it(`mounts for ${name} what its flags name, on volumes that exist`, () => {
      const mounts = service.volumes.map(mountOf)
      for (const { source } of mounts) assert.ok(source in compose.volumes, source)
      const paths = service.command.flatMap(arg => /=(\/\S+)/.exec(arg)?.[1] ?? [])
      const secrets = (service.secrets ?? []).map(name => `/run/secrets/${name}`)
      for (const path of paths.filter(path => !path.startsWith('/run/secrets/')))
        assert.ok(
          mounts.some(({ target }) => path === target || path.startsWith(`${target}/`)),
          `${path} is mounted`,
        )
      for (const path of service.command.flatMap(arg => /=(\/run\/secrets\/\S+)/.exec(arg)?.[1] ?? []))
        assert.ok(secrets.includes(path), path)
      // The socket's folder is of PostgreSQL's image.
      const targets = mounts
        .filter(({ volume, source }) => volume === undefined && source !== 'postgres-socket')
        .map(({ target }) => target)
      const made = dockerfile.find(line => line.verb === 'RUN' && line.rest.includes('mkdir -m'))?.rest ?? ''
      assert.match(made, /mkdir -m 0700 \/state/)
      for (const target of targets)
        assert.ok(made.includes(` /state${target}`), `${target} is made in the image`)
    })
  }

  it('shows the simulator its token and what to trust, and no key of the CA', () => {
    const seen = compose.services['sim']?.volumes.map(mountOf).filter(({ source }) => source === 'data') ?? []
    assert.deepEqual(
      seen.map(({ volume, read_only }) => [volume?.subpath, read_only]),
      [
        ['admin.token', true],
        ['ca.crt', true],
      ],
    )
  })

  for (const name of ['broker', 'provisioning'] as const) {
    const service = compose.services[name] as Service
    it(`publishes the ports that ${name} listens on, and asks its own admin port for its health`, () => {
      const flags = (pattern: RegExp) => service.command.flatMap(arg => pattern.exec(arg)?.[1] ?? [])
      const listens = flags(/^--(?:mqtts|api|status)-port=(\d+)$/)
      assert.deepEqual(
        service.ports?.map(port => port.split(':').at(-1)),
        listens,
      )
      const exposed = runtime.find(line => line.verb === 'EXPOSE')?.rest.split(' ') ?? []
      for (const port of listens) assert.ok(exposed.includes(port), port)
      const [kind, program, , script = ''] = service.healthcheck?.test ?? []
      assert.deepEqual([kind, program], ['CMD', NODE])
      assert.ok(script.includes(`http://127.0.0.1:${flags(/^--admin-port=(\d+)$/)}/readyz`), script)
      assert.doesNotThrow(() => new Function(script))
    })
  }

  it('watches behind a profile, from this machine alone, with what deploy/ holds and no password', () => {
    const targets = parse(read('deploy/prometheus/prometheus.yml')).scrape_configs[0].static_configs[0]
      .targets
    for (const target of targets as string[]) {
      const [name = '', port] = target.split(':')
      assert.ok(compose.services[name]?.command.includes(`--admin-port=${port}`), target)
      assert.ok(compose.services[name]?.command.includes('--admin-host=0.0.0.0'), target)
      assert.ok(!compose.services[name]?.ports?.some(published => published.endsWith(`:${port}`)), target)
    }
    for (const [name, service] of watchers) {
      assert.deepEqual(service.profiles, ['observability'])
      assert.match(service.image, /^\$\{[A-Z]+_IMAGE:-/)
      assert.match(byDefault(service.image), /:v?\d+\.\d+\.\d+$/)
      assert.equal(service.read_only, true)
      assert.deepEqual(service.cap_drop, ['ALL'])
      assert.deepEqual(service.security_opt, ['no-new-privileges:true'])
      for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:/, name)
      for (const { source, read_only } of service.volumes.map(mountOf)) {
        if (source.startsWith('./')) assert.ok(existsSync(join(repository, source)) && read_only, source)
        else assert.ok(source in compose.volumes, source)
      }
    }
    assert.doesNotMatch(read('docker-compose.yml'), /PASSWORD/)
    const datasource = parse(read('deploy/grafana/provisioning/datasources/prometheus.yml')).datasources[0]
    assert.equal(datasource.url, 'http://prometheus:9090')
    const { path } = parse(read('deploy/grafana/provisioning/dashboards/rollcall.yml')).providers[0].options
    assert.ok(
      compose.services['grafana']?.volumes.some(volume => `${mountOf(volume).target}/`.includes(`${path}/`)),
    )
  })

  it('names every service that it reaches in the server certificate', () => {
    const names = compose.services['provisioning']?.command.flatMap(
      arg => /^--san=(.+)$/.exec(arg)?.[1] ?? [],
    )
    const reached =
      compose.services['sim']?.command.flatMap(arg => /=\w+:\/\/(\w+):/.exec(arg)?.[1] ?? []) ?? []
    assert.deepEqual(reached.sort(), ['broker', 'provisioning'])
    for (const name of reached) assert.ok(names?.includes(name), name)
  })
})

describe('the Dockerfile', () => {
  it('starts from the Node that the package needs, and ends on one without a shell', () => {
    const needed = /(\d+)/.exec(manifest.engines.node)?.[1]
    const bases = dockerfile.filter(({ verb }) => verb === 'FROM').map(({ rest }) => rest)
    const of = (name: string) => `\${${name}}`
    assert.deepEqual(bases, [
      `${of('NODE_IMAGE')} AS build`,
      `${of('NODE_IMAGE')} AS packages`,
      of('RUNTIME_IMAGE'),
    ])
    const images = {
      NODE_IMAGE: `node:${needed}-slim`,
      RUNTIME_IMAGE: `gcr.io/distroless/nodejs${needed}-debian13:nonroot`,
    }
    const args = dockerfile.filter(({ verb }) => verb === 'ARG').map(({ rest }) => rest)
    assert.deepEqual(
      args,
      Object.entries(images).map(([name, image]) => `${name}=${image}`),
    )
    for (const [, { build }] of services)
      for (const [name, image] of Object.entries(images))
        assert.equal(build.args[name], `\${${name}:-${image}}`)
    assert.ok(!runtime.some(({ verb }) => verb === 'RUN'), 'nothing there could run it')
  })

  it('ships compiled code and no development packages', () => {
    const from = (name: string) => {
      const begin = dockerfile.findIndex(({ verb, rest }) => verb === 'FROM' && rest.endsWith(` AS ${name}`))
      const stage = dockerfile.slice(begin + 1)
      return stage.slice(
        0,
        stage.findIndex(({ verb }) => verb === 'FROM'),
      )
    }
    const packages = from('packages')
    assert.ok(packages.some(({ verb, rest }) => verb === 'RUN' && rest.includes('npm ci --omit=dev')))
    assert.ok(packages.some(({ verb, rest }) => verb === 'COPY' && rest === '--from=build /src/dist ./dist'))
    assert.ok(!packages.some(({ verb, rest }) => verb === 'COPY' && /^\. /.test(rest)))
    assert.deepEqual(
      runtime.filter(({ verb }) => verb === 'COPY').map(({ rest }) => rest),
      ['--from=packages /app /app', '--from=packages --chown=65532:65532 /state/ /'],
    )
  })

  it('ends as a user without rights, on the command that package.json installs, and asks for its own health', () => {
    const user = runtime.findLast(line => line.verb === 'USER')?.rest ?? 'root'
    assert.ok(!/^(0|root)\b/.test(user))
    assert.equal(user, compose.services['broker']?.user)
    const entry = JSON.parse(runtime.findLast(line => line.verb === 'ENTRYPOINT')?.rest ?? '[]')
    assert.deepEqual(entry, [NODE, `/app/${manifest.bin.rollcall}`])
    assert.ok(
      existsSync(join(repository, manifest.bin.rollcall.replace(/^dist\//, '').replace(/\.js$/, '.ts'))),
    )
    const health = runtime.find(({ verb }) => verb === 'HEALTHCHECK')?.rest ?? ''
    const [program, , script = ''] = JSON.parse(health.slice(health.indexOf('[')))
    assert.equal(program, NODE)
    assert.ok(script.includes('http://127.0.0.1:9464/readyz'))
    assert.doesNotThrow(() => new Function(script))
  })

  it('copies files that exist and are not ignored', () => {
    const ignored = read('.dockerignore').split('\n')
    for (const { verb, rest } of dockerfile) {
      if (verb !== 'COPY' || rest.startsWith('--from')) continue
      for (const source of rest.split(' ').slice(0, -1)) {
        assert.ok(existsSync(join(repository, source)), source)
        assert.ok(!ignored.includes(source), source)
      }
    }
    for (const secret of ['data', 'devices', 'fleet', '.git', 'node_modules'])
      assert.ok(ignored.includes(secret), secret)
  })
})
