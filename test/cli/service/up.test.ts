// `rollcall up` with the real services: what it lays, what it says, how it ends, and what it refuses.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { childrenOf } from '../../harness/child-processes.ts'
import { launch, lives, rollcall, startUp, temporaryDirectory, until } from '../running.ts'

const anyPorts = ['--mqtts-port', '0', '--api-port', '0', '--status-port', '0', '--admin-port', '0']

describe('rollcall up', () => {
  it('lays everything at first start, says so in one line, and takes its word back at the end', async () => {
    using data = temporaryDirectory()
    const up = await startUp(data.path)
    assert.deepEqual(Object.keys(up.ready), ['ready', 'mqtts', 'api', 'admin', 'data'])
    assert.equal(up.ready.ready, true)
    assert.equal(up.ready.data, data.path)
    assert.match(up.ready.mqtts, /^mqtts:\/\/127\.0\.0\.1:\d+$/)
    assert.match(up.ready.api, /^https:\/\/127\.0\.0\.1:\d+$/)
    for (const name of [
      'admin.token',
      'registry.db',
      'keys/root.key',
      'keys/issuing.key',
      'keys/server.key',
    ]) {
      assert.equal(statSync(join(data.path, name)).mode & 0o777, 0o600, name)
    }
    assert.match(readFileSync(join(data.path, 'ca.crt'), 'utf8'), /BEGIN CERTIFICATE/)
    const { mqtts, api, admin } = up.ready
    const endpoints = join(data.path, 'endpoints.json')
    assert.deepEqual(JSON.parse(readFileSync(endpoints, 'utf8')), { mqtts, api, admin })
    assert.equal((await fetch(`${admin}/readyz`)).status, 200)
    const metrics = await (await fetch(`${admin}/metrics`)).text()
    assert.match(metrics, /rollcall_service_up\{service="broker"\} 1/)
    assert.match(metrics, /rollcall_service_up\{service="provisioning"\} 1/)
    assert.equal(await up.end(), 0)
    assert.equal(up.lines().length, 1)
    assert.equal(existsSync(endpoints), false)
  })

  it('finds everything at the second start and changes nothing', async () => {
    using data = temporaryDirectory()
    const kept = ['ca.crt', 'issuing.crt', 'server.crt', 'admin.token', 'keys/root.key', 'keys/issuing.key']
    const contents = () => kept.map(name => readFileSync(join(data.path, name), 'utf8'))
    await (await startUp(data.path)).end()
    const before = contents()
    await (await startUp(data.path)).end('SIGINT')
    assert.deepEqual(contents(), before)
  })

  it('writes its log as JSON lines off a terminal', async () => {
    using data = temporaryDirectory()
    const up = await startUp(data.path)
    await up.end()
    const lines = up.stderr().trim().split('\n')
    for (const line of lines) assert.equal(typeof JSON.parse(line).msg, 'string')
  })

  it('tells a newcomer where things are, with commands that name the real ports and paths', async () => {
    using data = temporaryDirectory()
    const up = launch(['up', '--data', data.path, ...anyPorts])
    await until(() => existsSync(join(data.path, 'endpoints.json')), 'it is up')
    const { mqtts } = JSON.parse(readFileSync(join(data.path, 'endpoints.json'), 'utf8'))
    up.child.kill('SIGINT')
    const { code, stdout: output } = await up.ended
    assert.equal(code, 0)
    for (const expected of [
      join(data.path, 'admin.token'),
      join(data.path, 'ca.crt'),
      `./rollcall device enroll sensor-1 --out devices/sensor-1 --data ${data.path}`,
      `mosquitto_pub -h 127.0.0.1 -p ${new URL(mqtts).port} --cafile ${join(data.path, 'ca.crt')}`,
      `./rollcall sim --devices 500`,
    ]) {
      assert.ok(output.includes(expected), `${expected} is missing in ${output}`)
    }
  })

  it('greets no newcomer where devices are on the roll', async () => {
    using data = temporaryDirectory()
    {
      await using first = await startUp(data.path)
      assert.equal((await first.run('device', 'add', 'pump-1')).code, 0)
    }
    const up = launch(['up', '--data', data.path, ...anyPorts])
    await until(() => existsSync(join(data.path, 'endpoints.json')), 'it is up')
    up.child.kill('SIGINT')
    const { code, stdout } = await up.ended
    assert.equal(code, 0)
    assert.ok(stdout.includes(`./rollcall status --data ${data.path}`), stdout)
    assert.ok(!stdout.includes('sensor-1'), stdout)
  })

  it('refuses a second one on the same directory, and says what to do', async () => {
    using data = temporaryDirectory()
    await using _first = await startUp(data.path)
    const { code, stderr, stdout } = await rollcall(['up', '--data', data.path, ...anyPorts])
    assert.equal(code, 1)
    assert.match(stderr, /^error: another rollcall up runs on .*\nhint: .+/)
    assert.equal(stdout, '')
    for (const service of ['broker', 'provisioning']) {
      const alone = await rollcall([
        service,
        '--data',
        data.path,
        `--${apiOrMqtts(service)}-port`,
        '0',
        '--admin-port',
        '0',
      ])
      assert.equal(alone.code, 1, service)
      assert.match(alone.stderr, new RegExp(`^error: another rollcall ${service} runs on`), service)
    }
  })

  it('leaves nothing running when it is killed, and the next one starts at once', async () => {
    using data = temporaryDirectory()
    const up = await startUp(data.path)
    const children = childrenOf(up.pid)
    assert.equal(children.length, 2)
    assert.equal(await up.end('SIGKILL'), null)
    await using again = await startUp(data.path)
    assert.equal((await again.run('device', 'add', 'after-the-kill')).code, 0)
    await until(() => !children.some(lives), 'the former services are gone')
  })

  it('starts a killed service again where it was, and is not ready in between', async () => {
    using data = temporaryDirectory()
    await using up = await startUp(data.path)
    for (const pid of childrenOf(up.pid)) process.kill(pid, 'SIGKILL')
    const status = async () => (await fetch(`${up.ready.admin}/readyz`)).status
    await until(async () => (await status()) === 503, 'it is not ready')
    await until(async () => (await status()) === 200, 'it is ready again')
    assert.equal((await up.run('device', 'add', 'after-the-kill')).code, 0)
    assert.equal(childrenOf(up.pid).length, 2)
  })

  it('ends with one message where a port is in use, leaving nothing running', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise(resolve => taken.once('listening', resolve))
    const port = String((taken.address() as { port: number }).port)
    for (const flag of ['--mqtts-port', '--api-port', '--status-port', '--admin-port']) {
      using data = temporaryDirectory()
      const { code, stderr, stdout } = await rollcall(['up', '--data', data.path, ...anyPorts, flag, port])
      assert.equal(code, 1, stderr)
      const told = stderr.split('\n').filter(line => line.includes(port) && line.includes(flag))
      assert.equal(told.length, 1, `${flag}: ${stderr}`)
      assert.match(told[0] ?? '', /^error: .*in use/)
      assert.equal(stdout, '')
      assert.equal(processesNaming(data.path).length, 0)
    }
    taken.close()
  })

  it('ends with one message where the data directory cannot be used', async () => {
    using world = temporaryDirectory()
    writeFileSync(join(world.path, 'file'), '')
    for (const data of [join(world.path, 'file'), join(world.path, 'file', 'below'), '/proc/rollcall']) {
      const { code, stderr } = await rollcall(['up', '--data', data, ...anyPorts])
      assert.equal(code, 1)
      assert.match(stderr, /^error: the data directory cannot be used: .*\nhint: .+\n$/)
    }
  })

  it('ends with one message where the registry is damaged, and touches nothing', async () => {
    using data = temporaryDirectory()
    await (await startUp(data.path)).end()
    const registry = join(data.path, 'registry.db')
    writeFileSync(registry, Buffer.alloc(64 * 1024, 'no registry'))
    copyFileSync(registry, join(data.path, 'kept'))
    const { code, stderr } = await rollcall(['up', '--data', data.path, ...anyPorts])
    assert.equal(code, 1, stderr)
    assert.match(stderr, /^error: .*restore a backup.*registry\.db/m)
    assert.deepEqual(readFileSync(registry), readFileSync(join(data.path, 'kept')))
    assert.equal(processesNaming(data.path).length, 0)
  })
})

function apiOrMqtts(service: string): string {
  return service === 'broker' ? 'mqtts' : 'api'
}

function processesNaming(text: string): string[] {
  const all = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })
  return all.split('\n').filter(line => line.includes(text))
}
