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

type Service = {
  image: string
  build: string
  user: string
  read_only: boolean
  tmpfs: string[]
  cap_drop: string[]
  security_opt: string[]
  privileged?: boolean
  command: string[]
  ports?: string[]
  volumes: string[]
  profiles?: string[]
  healthcheck?: { test: string[] }
  depends_on?: Record<string, { condition: string }>
}

const read = (name: string) => readFileSync(join(repository, name), 'utf8')
const compose = parse(read('docker-compose.yml'), { merge: true }) as {
  services: Record<string, Service>
  volumes: Record<string, unknown>
}
const services = Object.entries(compose.services)
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
    assert.deepEqual(services.map(([name]) => name).sort(), ['broker', 'provisioning', 'sim'])
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
      const mounts = service.volumes.map(volume => volume.split(':'))
      for (const [volume = ''] of mounts) assert.ok(volume in compose.volumes, volume)
      const targets = mounts.map(([, target]) => target)
      const paths = service.command.map(arg => /=(\/[^/]+)/.exec(arg)?.[1]).filter(path => path !== undefined)
      for (const path of paths) assert.ok(targets.includes(path), `${path} is mounted`)
      const made = runtime.find(line => line.verb === 'RUN' && line.rest.startsWith('mkdir'))?.rest ?? ''
      for (const target of targets) assert.ok(made.includes(` ${target}`), `${target} is made in the image`)
    })
  }

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
      assert.deepEqual([kind, program], ['CMD', 'node'])
      assert.ok(script.includes(`http://127.0.0.1:${flags(/^--admin-port=(\d+)$/)}/readyz`), script)
      assert.doesNotThrow(() => new Function(script))
    })
  }

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
  it('starts from the Node that the package needs', () => {
    const needed = /(\d+)/.exec(manifest.engines.node)?.[1]
    for (const { verb, rest } of dockerfile) {
      if (verb === 'FROM') assert.match(rest, new RegExp(`^node:${needed}-slim( AS \\w+)?$`))
    }
  })

  it('ships compiled code and no development packages', () => {
    assert.ok(runtime.some(line => line.verb === 'RUN' && line.rest.includes('npm ci --omit=dev')))
    assert.ok(runtime.some(line => line.verb === 'COPY' && line.rest === '--from=build /src/dist ./dist'))
    assert.ok(!runtime.some(line => line.verb === 'COPY' && /^\. /.test(line.rest)))
  })

  it('ends as a user without rights, on the command that package.json installs', () => {
    const user = runtime.findLast(line => line.verb === 'USER')?.rest ?? 'root'
    assert.ok(!/^(0|root)\b/.test(user))
    assert.equal(user, compose.services['broker']?.user)
    const entry = JSON.parse(runtime.findLast(line => line.verb === 'ENTRYPOINT')?.rest ?? '[]')
    assert.deepEqual(entry, ['node', `/app/${manifest.bin.rollcall}`])
    assert.ok(
      existsSync(join(repository, manifest.bin.rollcall.replace(/^dist\//, '').replace(/\.js$/, '.ts'))),
    )
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
