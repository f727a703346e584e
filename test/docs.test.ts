// What the documents claim, held against the code: links, command lines, settings, metrics, policy examples.
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Command, Option } from 'commander'
import { choices, environmentName, settings, texts } from '../broker/settings/validation.ts'
import { createProgram, nouns } from '../cli/program.ts'
import { parsePolicy } from '../policy/document.ts'
import { bindRights, type Rights } from '../policy/rights.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const pages = ['README.md', 'CHANGELOG.md', 'SECURITY.md', 'CONTRIBUTING.md'].concat(
  globSync('{docs/**/*.md,bench/*.md,examples/README.md}', { cwd: root }).sort(),
)
const read = (path: string) => readFileSync(join(root, path), 'utf8')
/** Without fenced blocks and `code`, in which nothing is a link or heading. */
const prose = (text: string) => text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, 'code')

describe('links', () => {
  for (const page of pages) {
    it(`of ${page} lead somewhere`, () => assert.deepEqual(brokenLinks(page, read(page)), []))
  }

  it('that lead nowhere are found', () => {
    const text = '[a](docs/none.md) [b](docs/cli.md#none) [c](docs/cli.md#backup) [d](https://example.net)'
    assert.deepEqual(brokenLinks('README.md', text), ['docs/none.md', 'docs/cli.md#none'])
  })
})

function brokenLinks(page: string, text: string): string[] {
  const links = [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)].map(match => match[1]!)
  return links.filter(link => {
    if (/^[a-z]+:/.test(link)) return false
    const [path = '', anchor] = link.split('#')
    const target = path === '' ? page : join(dirname(page), path)
    if (!existsSync(join(root, target))) return true
    return anchor !== undefined && !anchorsOf(read(target)).includes(anchor)
  })
}

/** As GitHub makes them of headings. */
function anchorsOf(text: string): string[] {
  return [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)].map(match =>
    match[1]!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

it('each statement of the security model has a number of its own', () => {
  const numbers = [...read('docs/security-model.md').matchAll(/^\| (\d+) \|/gm)].map(([, number]) => number)
  assert.deepEqual(numbers, [...new Set(numbers)])
})

describe('names', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const page of pages) {
    it(`of files and scripts in ${page} exist`, () => {
      const text = read(page)
      for (const [, path = ''] of text.matchAll(
        /(?:`|\bnode )((?:[\w.-]+\/)+[\w.-]+\.(?:[cm]?[jt]s|cnf))\b/g,
      )) {
        assert.ok(
          existsSync(join(root, path)) || globSync(`**/${path}`, { cwd: join(root, 'broker') }).length,
          path,
        )
      }
      for (const [, script = ''] of text.matchAll(/\bnpm (?:run ([\w:]+)|(?:start|test)\b)/g))
        assert.ok(script === '' || script in scripts, script)
    })
  }
})

describe('command lines', () => {
  for (const page of pages) {
    for (const line of commandLines(read(page))) {
      it(`${page}: rollcall ${line}`, async () => assert.deepEqual(await faultsOf(line), []))
    }
  }

  it('are found in the quick start', () => assert.ok(commandLines(read('docs/quick-start.md')).length >= 7))

  it('that cannot be are found', async () => {
    const bad: [line: string, fault: RegExp][] = [
      ['devices list', /no command devices/],
      ['device enrol x', /no command enrol/],
      ['device list --stat active', /no --stat/],
      ['device add', /arguments/],
      ['device add a b', /arguments/],
      ['device enroll a --data d', /--out is missing/],
      ['device list --group', /--group has no value/],
      ['certificate revoke ab --reason because', /because/],
      ['up --data d -x', /no -x/],
    ]
    for (const [line, fault] of bad) assert.match((await faultsOf(line)).join(), fault, line)
  })
})

/** What follows `rollcall` in code blocks; a backslash continues a line, a shell operator or comment ends it. */
function commandLines(text: string): string[] {
  const blocks = [...text.matchAll(/^```\w*\n([\s\S]*?)^```/gm)].map(match => match[1]!)
  const indented = text.replace(/^```[\s\S]*?^```/gm, '').match(/^ {4}\S.*$/gm) ?? []
  return [...blocks.flatMap(block => block.replaceAll('\\\n', ' ').split('\n')), ...indented]
    .map(line => line.trim())
    .flatMap(
      line => /^(?:\.\/|npx )?rollcall (.+)$/.exec(line)?.[1] ?? /\/main\.js (.+)$/.exec(line)?.[1] ?? [],
    )
    .map(line => line.split(/ (?:\||>|&&|#|…)/)[0]!.trim())
}

async function faultsOf(line: string): Promise<string[]> {
  // A synopsis names what may be left out in brackets, and alternatives with bars.
  const synopsis = /[[\]…]|\w\|\w/.test(line)
  const words = (line.match(/'[^']*'|\S+/g) ?? [])
    .map(word => word.replaceAll(/[[\]…']/g, ''))
    .filter(Boolean)
  const noun = words[0]!
  if (!(noun in nouns)) return [`no command ${noun}`]
  const program = await createProgram([noun], '0')
  const command = program.commands.find(candidate => candidate.name() === noun)!
  return faultsBelow(command, words.slice(1), synopsis)
}

/** A verb may have verbs of its own. */
function faultsBelow(command: Command, words: string[], synopsis: boolean): string[] {
  const ownOptions = words.length === 0 || words[0]!.startsWith('-')
  if (command.commands.length === 0 || ownOptions) return faultsOfCommand(command, words, synopsis)
  return words[0]!.split('|').flatMap(verb => {
    const found = command.commands.find(candidate => candidate.name() === verb)
    return found ? faultsBelow(found, words.slice(1), synopsis) : [`no command ${verb}`]
  })
}

function faultsOfCommand(command: Command, words: string[], synopsis: boolean): string[] {
  const faults: string[] = []
  const given = new Set<Option>()
  let positional = 0
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index]!
    if (!word.startsWith('-')) {
      positional += 1
      continue
    }
    const [flag, attached] = word.split('=', 2)
    const option = command.options.find(candidate => candidate.short === flag || candidate.long === flag)
    if (option === undefined) {
      faults.push(`no ${flag}`)
      continue
    }
    given.add(option)
    const next = words[index + 1]
    const value = attached ?? (next?.startsWith('-') ? undefined : next)
    if (option.required && value === undefined) faults.push(`${flag} has no value`)
    if (attached === undefined && value !== undefined && (option.required || option.optional)) index += 1
    if (value !== undefined && option.argChoices && !isPlaceholder(value)) {
      for (const choice of value.split('|'))
        if (!option.argChoices.includes(choice)) faults.push(`${flag} cannot be ${choice}`)
    }
  }
  const needed = command.registeredArguments.filter(argument => argument.required).length
  const most = command.registeredArguments.at(-1)?.variadic
    ? Number.POSITIVE_INFINITY
    : command.registeredArguments.length
  if (positional < needed || positional > most) faults.push(`${positional} arguments`)
  if (!synopsis)
    for (const option of command.options)
      if (option.mandatory && option.defaultValue === undefined && !given.has(option))
        faults.push(`${option.long} is missing`)
  return faults
}

function isPlaceholder(value: string): boolean {
  return /^[A-Z]+$/.test(value)
}

describe('docs/cli.md', () => {
  it('lists every command with its verbs, and no other', async () => {
    const words = (cell = '') => [...cell.matchAll(/`([\w-]+)`/g)].map(match => match[1]!).sort()
    const rows = [...read('docs/cli.md').matchAll(/^\| (`[\w-]+`(?:, `[\w-]+`)*) \| ((?:`[\w-]+` ?)*)\|/gm)]
    const listed = rows.flatMap(([, commands, verbs]) => words(commands).map(name => [name, words(verbs)]))
    const load = async ([name, noun]: [string, (typeof nouns)[string]]) => {
      const { commands } = await noun.load('0')
      return [name, commands.map(verb => verb.name()).sort()] as const
    }
    const made = await Promise.all(Object.entries(nouns).map(load))
    assert.deepEqual(Object.fromEntries(listed), Object.fromEntries(made))
  })
})

describe('docs/metrics.md', () => {
  it('lists every metric of ours, and no other', () => {
    const code = [
      'broker/observability/metrics.ts',
      'provisioning/metrics.ts',
      'cli/service/supervisor.ts',
      'admin/process-figures.ts',
      'admin/build-info.ts',
    ]
      .map(read)
      .join('\n')
    const made = [...code.matchAll(/(?:name: '|family\('|# TYPE )(rollcall_\w+)/g)].map(match => match[1]!)
    const listed = [...read('docs/metrics.md').matchAll(/^\| `(rollcall_\w+)` \|/gm)].map(match => match[1]!)
    assert.deepEqual(listed.sort(), [...new Set(made)].sort())
  })
})

describe('docs/operations.md', () => {
  const page = read('docs/operations.md')
  const section = (heading: string) => page.split(`\n## ${heading}\n`)[1]!.split('\n## ')[0]!

  it('lists every broker setting with its default, and no other', () => {
    const listed = section('Broker settings').matchAll(/^\| `(\w+)` \| ([\d,]+) \| [^|]+ \|$/gm)
    assert.deepEqual(
      Object.fromEntries(
        [...listed].map(([, name, standard]) => [name, Number(standard!.replaceAll(',', ''))]),
      ),
      Object.fromEntries(Object.entries(settings).map(([name, s]) => [name, s.default])),
    )
  })

  it('lists every choice with its default and its words, and no other', () => {
    const listed = [...section('Broker settings').matchAll(/^\| `(\w+)` \| `(\w+)` \| (`.*?`) \|/gm)]
    assert.deepEqual(
      Object.fromEntries(
        listed.map(([, name, standard, words]) => [name, [standard, words!.replaceAll('`', '').split(' ')]]),
      ),
      Object.fromEntries(Object.entries(choices).map(([name, c]) => [name, [c.default, c.words]])),
    )
    const named = [...section('Broker settings').matchAll(/^\| `(\w+)` \| (none|`.+?`) \| text \|/gm)].map(
      ([, name, standard]) => [name, standard === 'none' ? '' : standard!.replaceAll('`', '')],
    )
    assert.deepEqual(
      named,
      Object.entries(texts).map(([name, text]) => [name, text.default]),
    )
  })

  it('names every environment variable as it is read', () => {
    const code = [
      'provisioning/config.ts',
      'broker/main.ts',
      'cli/service-connection.ts',
      'docker-compose.yml',
      'deploy/systemd/rollcall.service',
    ]
      .map(read)
      .join()
    const variables = new Set(page.match(/\bROLLCALL_[A-Z_]+[A-Z]/g))
    assert.ok(variables.has(environmentName('handshakesMax')))
    const ofBroker = Object.keys({ ...settings, ...choices, ...texts }).map(environmentName)
    for (const variable of variables)
      assert.ok(ofBroker.includes(variable) || code.includes(variable), variable)
    for (const [variable] of read('provisioning/config.ts').matchAll(/ROLLCALL_[A-Z_]+[A-Z]/g))
      assert.ok(variables.has(variable), variable)
  })
})

describe('docs/policy.md', () => {
  const examples = [
    ...read('docs/policy.md').matchAll(/^```json\n([\s\S]*?)^```([\s\S]*?)(?=^```json|$(?![\s\S]))/gm),
  ]
  const values = new Map([
    ['device.id', 'sensor-1'],
    ['device.attr.site', 'north'],
  ])

  for (const [, document = '', after = ''] of examples) {
    const parsed = parsePolicy(JSON.parse(document))
    assert.ok('policy' in parsed, document)
    const rights = bindRights([parsed.policy], values)!
    const rows = [...after.matchAll(/^\| ([\w ]+) \| `([^`]+)` \| (yes|no) \|$/gm)]
    it(`tells what ${parsed.policy.name} allows`, () => {
      assert.ok(rows.length >= 8)
      for (const [row, action = '', topic = '', verdict] of rows)
        assert.equal(allows(rights, action, topic), verdict === 'yes', row)
    })
  }

  it('has three examples', () => assert.equal(examples.length, 3))
})

function allows(rights: Rights, action: string, topic: string): boolean {
  if (action === 'subscribe') return rights.subscribe(topic)
  if (action === 'receive') return rights.receive(topic)
  if (action === 'will') return rights.will(topic, 0, false)
  assert.match(action, /^publish( retained| QoS 2)?$/)
  return rights.publish(topic, action.endsWith('QoS 2') ? 2 : 0, action.endsWith('retained'))
}
