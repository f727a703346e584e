// What every command offers alike: examples that can be typed, a question before it ends something, manual pages, and what may have
// been meant where a word is wrong.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { Command } from 'commander'
import { complete } from '../../cli/command-tree.ts'
import { destructive } from '../../cli/destructive.ts'
import { examples } from '../../cli/examples.ts'
import { manualPages } from '../../cli/man/pages.ts'
import { nouns } from '../../cli/program.ts'
import { rollcallHere } from './in-process.ts'

const leaves = new Map<string, Command>()
const program = new Command('rollcall')

before(async () => {
  for (const [name, { summary, load }] of Object.entries(nouns)) {
    const command = (await load('1')).summary(summary)
    complete(command, name)
    program.addCommand(command)
    const walk = (one: Command, path: string) => {
      if (one.commands.length === 0) leaves.set(path, one)
      for (const child of one.commands) walk(child, `${path} ${child.name()}`)
    }
    walk(command, name)
  }
})

function helpOf(command: Command): string {
  let help = ''
  command.configureOutput({
    writeOut(text) {
      help += text
    },
  })
  command.outputHelp()
  return help
}

/** The command lines of rollcall in its examples, those behind a pipe or && too. */
function examplesIn(help: string): string[] {
  const lines = (help.split('\nExamples:\n')[1] ?? '').split('\n').map(line => line.trim())
  return lines.filter(line => line.includes('rollcall'))
}

describe('the help of every command', () => {
  it('has examples, which name flags that there are', () => {
    for (const [path, command] of leaves) {
      const lines = examplesIn(helpOf(command))
      assert.ok(lines.length > 0, `rollcall ${path} has no example`)
      assert.ok(
        lines.some(line => line.includes(`rollcall ${path}`)),
        `no example of rollcall ${path} is one of it`,
      )
      for (const line of lines.flatMap(each => each.split(/ \| | && | > /)))
        for (const [words, other] of leaves) {
          // The flags of mqttx are those of the verb behind it.
          if (words === 'sim bench' || !new RegExp(`\\brollcall ${words}( |$)`).test(line)) continue
          const flags =
            line.replace(/'[^']*'|"[^"]*"/g, '').match(/(?<= )(?:--[a-z][a-z0-9-]*|-[a-z](?= |$))/g) ?? []
          for (const flag of flags)
            assert.ok(
              other.options.some(({ long, short }) => flag === long || flag === short),
              `${line}: rollcall ${words} has no ${flag}`,
            )
        }
    }
    for (const path of Object.keys(examples)) assert.ok(leaves.has(path), `there is no rollcall ${path}`)
  })

  it('breaks no line within a paragraph but where the terminal ends', () => {
    for (const [path, command] of leaves)
      for (const paragraph of command.description().split('\n\n'))
        assert.doesNotMatch(paragraph, /\n/, `the description of ${path} is broken by hand`)
  })
})

it('a verb that cuts, ends or deletes asks on a terminal first, unless --yes', () => {
  const verbs = /(^| )(revoke|remove|delete|retire|suspend|decommission|reject|cancel|kick|disable)$/
  for (const [path, command] of leaves) {
    if (!verbs.test(path) && !Object.hasOwn(destructive, path)) continue
    if (path === 'webhook disable') continue // what it misses is sent later
    assert.ok(
      command.options.some(({ long }) => long === '--yes'),
      `rollcall ${path} does not ask`,
    )
  }
  for (const path of Object.keys(destructive)) assert.ok(leaves.has(path), `there is no rollcall ${path}`)
})

describe('manual pages', () => {
  it('there is one for each noun, with each verb, flag and example', () => {
    const pages = manualPages(program, '1.2.3')
    assert.equal(pages.size, Object.keys(nouns).length + 1)
    for (const [path, command] of leaves) {
      const page = pages.get(`rollcall-${path.split(' ')[0]}.1`)!.replaceAll('\\-', '-')
      assert.ok(page.includes(`.B rollcall ${path}\n`), `${path} is missing`)
      for (const { flags, hidden } of command.options)
        assert.ok(hidden || page.includes(`\\fB${flags}\\fP`), `${path} ${flags} is missing`)
      for (const line of examplesIn(helpOf(command)))
        if (line.startsWith('rollcall')) assert.ok(page.includes(line.replaceAll('\\', '\\e')), line)
      // A line that begins with a dot or a quote is a request to roff.
      for (const line of page.split('\n'))
        assert.doesNotMatch(line, /^'|^\.(?!TH|SH|TP|PP|B |I |br|nh|ad|nf|fi)/, `${path}: ${line}`)
    }
  })

  it('rollcall man writes them into a directory', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rollcall-man-'))
    const { code, stderr } = await rollcallHere('man', join(folder, 'man1'))
    assert.deepEqual([code, /manual pages are in/.test(stderr)], [0, true])
    assert.ok(readdirSync(join(folder, 'man1')).includes('rollcall-device.1'))
    assert.match(readFileSync(join(folder, 'man1', 'rollcall.1'), 'utf8'), /^\.TH ROLLCALL 1/)
    rmSync(folder, { recursive: true })
  })
})

describe('a word that is wrong', () => {
  const meant: [string[], string][] = [
    [['suspend', 'pump-1'], 'rollcall device suspend, or rollcall certificate suspend'],
    [['list', 'devices'], 'rollcall device list'],
    [['devce', 'list'], 'rollcall device'],
    [['expain', 'pump-1'], 'rollcall explain'],
  ]
  for (const [words, hint] of meant)
    it(`${words.join(' ')} is answered by ${hint}`, async () => {
      const { code, stderr } = await rollcallHere(...words)
      assert.deepEqual(
        [code, stderr],
        [2, `error: unknown command '${words[0]}'\nhint: did you mean ${hint}?\n`],
      )
    })
  it('that is near to nothing gets the general hint, as JSON where that is asked for', async () => {
    const { code, stderr } = await rollcallHere('xyzzy', '-o', 'json')
    assert.deepEqual([code, JSON.parse(stderr).hint], [2, 'add --help to see what is accepted'])
  })
})
