// docs/quick-start.md as a stranger reads it: every command in its order, what is left running runs on, and what is said to be
// printed is printed.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { Endpoints } from '../../cli/data-directory.ts'
import { repository, until } from '../cli/running.ts'
import { blocksOf, onPorts } from '../harness/document.ts'
import { openApi } from './api.ts'
import { type Running, start } from './mosquitto.ts'
import { anyPorts, scratch } from './system.ts'

const { scripts } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))

/** A directory that looks like a clone to commands, and is none: what is made there is removed. */
function clone() {
  const place = scratch()
  for (const name of ['rollcall', 'cli']) symlinkSync(join(repository, name), place.at(name))
  return place
}

/** What is printed differs in hashes, times, how often rogues tried, and what the excerpt leaves out. */
function loosened(line: string): RegExp {
  const pattern = line
    .replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:\\.]+Z/g, '\\S+')
    .replaceAll(/[\da-f]{16,}/g, '[\\da-f]+')
    .replaceAll(/[1-9]\d* refused/g, '\\d+ refused')
    .replaceAll('…', '.*')
  return new RegExp(`^${pattern}$`, 'm')
}

test('every command of the quick start works as it is written, and prints what is written', async () => {
  using place = clone()
  /** All that was started, in order; the service is the first. */
  const programs: Running[] = []
  await using _ = {
    async [Symbol.asyncDispose]() {
      await Promise.all(programs.map(program => program.stop()))
    },
  }
  let endpoints: Endpoints | undefined
  const shell = (text: string) => {
    const path = `export PATH="${dirname(process.execPath)}:$PATH"`
    const line = ['-oL', 'bash', '-c', `cd "${place.path}"\n${path}\n${text}`]
    const program = start('stdbuf', line)
    programs.push(program)
    return program
  }

  const steps = {
    /** `npm ci` would lay the packages of this very tree again; `npm start` is one command, on ports of its own here. */
    async service(text: string) {
      assert.equal(text, 'npm ci && npm start\n')
      const service = shell(`${scripts.start} ${anyPorts.join(' ')}`)
      await service.printed('Rollcall is up')
      const found: Endpoints = JSON.parse(readFileSync(place.at('data', 'endpoints.json'), 'utf8'))
      endpoints = found
      const [, promised] = blocksOf('README.md')
      await steps.excerpt(onPorts(promised?.text ?? '', found))
    },

    /** Runs on; the reader goes on once it is subscribed, as he would some seconds later. */
    async listener(text: string, id: string) {
      shell(`exec ${text}`)
      const api = openApi(endpoints!.api, place.at('data'))
      await until(async () => {
        const { body } = await api.call('GET', `/v1/devices/${id}/sessions`)
        return body.items[0]?.subscriptions.length > 0
      }, `${id} is subscribed`)
      api.close()
    },

    async command(text: string, fails: boolean) {
      const { code, output } = await shell(text).ended
      assert.equal(code !== 0, fails, `${text}${output}`)
    },

    async excerpt(text: string) {
      for (const line of text.split('\n').filter(line => line.trim() !== '' && line !== '…')) {
        const printed = () => programs.some(program => loosened(line).test(program.output()))
        await until(printed, `${line} is printed: ${programs.at(-1)?.output()}`)
      }
    },
  }

  const blocks = blocksOf('docs/quick-start.md')
  for (const [index, { heading, language, text }] of blocks.entries()) {
    const moved = endpoints === undefined ? text : onPorts(text, endpoints)
    const [, listener] = /^mosquitto_sub .*-i (\S+)/.exec(text) ?? []
    if (language === '') await steps.excerpt(moved)
    else if (endpoints === undefined) await steps.service(moved)
    else if (listener !== undefined) await steps.listener(moved, listener)
    else {
      if (heading === 'Stop and remove') {
        await assertConsole(endpoints, place.at('data'))
        assert.equal((await programs[0]!.stop('SIGINT')).code, 0, programs[0]!.output())
      }
      const shown = blocks[index + 1]
      await steps.command(moved, shown?.language === '' && /error:/i.test(shown.text))
    }
  }
  assert.ok(!existsSync(place.at('data')) && !existsSync(place.at('devices')))
  assert.deepEqual(readdirSync(place.path).sort(), ['cli', 'rollcall'], 'nothing is left but the clone')
})

/** The address that is shown leads to the console. */
async function assertConsole(endpoints: Endpoints, data: string): Promise<void> {
  const document = readFileSync(join(repository, 'docs/quick-start.md'), 'utf8')
  const [, shown = ''] = /^The console is at <(.+)>/m.exec(document) ?? []
  const api = openApi(endpoints.api, data)
  const { headers } = await api.call('GET', new URL(shown).pathname)
  const { status, body } = await api.call('GET', headers['location'] ?? '')
  api.close()
  assert.equal(status, 200)
  assert.match(body, /<title>.*Rollcall/)
}
