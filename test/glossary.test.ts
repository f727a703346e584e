// The glossary against the code: every term is in use, and no retired word names a file or an export. Documents and comments name
// the noun, and not "who".
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { test } from 'node:test'

const root = new URL('..', import.meta.url).pathname
/** The rooms whose names use the terms of today. A room that is renamed joins the list. */
const renamedRooms = [
  'admin',
  'admission',
  'bench',
  'broker/admission',
  'broker/events',
  'broker/gate',
  'broker/gate-workers',
  'broker/mqtt',
  'broker/observability',
  'broker/registry',
  'broker/revocation',
  'broker/settings',
  'broker/statistics',
  'cli',
  'client',
  'console',
  'db',
  'device-sim',
  'pki',
  'policy',
  'provisioning',
  'test/admission',
  'test/bench',
  'test/broker/admission',
  'test/broker/events',
  'test/broker/gate',
  'test/broker/gate-workers',
  'test/broker/mqtt',
  'test/broker/registry',
  'test/broker/revocation',
  'test/broker/settings',
  'test/broker/statistics',
  'test/broker/threats',
  'test/cli',
  'test/client',
  'test/db',
  'test/device-sim',
  'test/e2e',
  'test/interop',
  'test/pki',
  'test/policy',
  'test/provisioning',
  'test/race',
]

type File = { path: string; text: string }
type Glossary = { terms: string[]; retired: string[] }

/** The terms of the first table and the retired words of the second; a cell may hold several, set apart by commas. */
function readGlossary(text: string): Glossary {
  const [today = '', before = ''] = text.split('\n## Retired words\n')
  const cells = (part: string, pattern: RegExp) =>
    [...part.matchAll(pattern)].flatMap(([, cell]) => cell!.split(/,\s*/))
  return {
    terms: cells(today, /^\| \*\*(.+?)\*\* \|/gm),
    retired: cells(before, /^\| (?!retired \|)([a-z][a-z, ]*) \|/gm),
  }
}

/** `createQueueLedger`, `queue-ledger.ts` and `QUEUE_LEDGER` all read as "queue ledger". */
function wordsOf(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1 $2')
    .replace(/[-_.]+/g, ' ')
    .toLowerCase()
}

function namesOf({ path, text }: File): string[] {
  const exported = text.matchAll(/^export (?:async )?(?:function|const|class|type|interface) (\w+)/gm)
  return [...path.split('/'), ...[...exported].map(([, name]) => name!)]
}

function retiredNames(files: readonly File[], retired: readonly string[]): string[] {
  return files.flatMap(file =>
    namesOf(file).flatMap(name =>
      retired
        .filter(word => ` ${wordsOf(name)} `.includes(` ${word} `))
        .map(word => `${file.path}: ${name} uses the retired word "${word}"`),
    ),
  )
}

function unusedTerms(terms: readonly string[], text: string): string[] {
  const folded = text.toLowerCase()
  return terms.filter(term => !folded.includes(term.toLowerCase()))
}

function filesIn(pattern: string): File[] {
  return globSync(pattern, {
    cwd: root,
    exclude: ['**/node_modules/**', '**/dist/**', '**/dist-*/**', '{release,data}/**'],
  }).map(path => ({
    path,
    text: readFileSync(join(root, path), 'utf8'),
  }))
}

const glossary = readGlossary(readFileSync(join(root, 'docs/glossary.md'), 'utf8'))

test('every term of the glossary is used by the documents or the code', () => {
  assert.ok(glossary.terms.length > 40)
  const rooms = '{pki,db,admission,policy,broker,provisioning,admin,client,device-sim,cli,console}'
  const files = [...filesIn('docs/*.md'), ...filesIn(`${rooms}/**/*.{ts,tsx}`)].filter(
    ({ path }) => path !== 'docs/glossary.md',
  )
  assert.deepEqual(unusedTerms(glossary.terms, files.map(({ text }) => text).join('\n')), [])
})

test('no word is both a term of the glossary and retired', () => {
  assert.ok(glossary.retired.length > 30)
  assert.deepEqual(
    glossary.retired.filter(word => glossary.terms.some(term => term.toLowerCase() === word)),
    [],
  )
})

for (const room of renamedRooms)
  test(`no retired word names a file or an export of ${room}/`, () => {
    const files = filesIn(`${room}/**/*.{ts,tsx}`)
    assert.ok(files.length > 0)
    assert.deepEqual(retiredNames(files, glossary.retired), [])
  })

test('each rule can fail', () => {
  const { terms, retired } = readGlossary(
    '| **node** | A broker. |\n| **IDevID, LDevID** | Two. |\n\n## Retired words\n\n| retired | now |\n|---|---|\n| queue ledger | quota |\n| welcome, hear | onData |\n',
  )
  assert.deepEqual(terms, ['node', 'IDevID', 'LDevID'])
  assert.deepEqual(retired, ['queue ledger', 'welcome', 'hear'])
  const bad = (path: string, text = '') => retiredNames([{ path, text }], retired).length
  assert.equal(bad('broker/queue-ledger.ts'), 1)
  assert.equal(bad('broker/hear/index.ts'), 1)
  assert.equal(bad('broker/a.ts', 'export function createQueueLedger() {}'), 1)
  assert.equal(bad('broker/a.ts', 'export async function hearAll() {}'), 1)
  assert.equal(bad('broker/a.ts', 'export const QUEUE_LEDGER_MAX = 1'), 1)
  assert.equal(bad('broker/a.ts', 'export type MQTTHear = string'), 1)
  assert.equal(bad('broker/heart.ts', 'function welcome() {}\nexport const ledgerQueue = 1'), 0)
  assert.deepEqual(unusedTerms(terms, 'One Node has an IDEVID.'), ['LDevID'])
})

/** Their text stays: a registry has already applied it. */
const old = /^db\/migrations\//

const comments: Readonly<Record<string, RegExp>> = {
  '.ts': /^[ \t]*\/\*[\s\S]*?\*\/|(?<!\S)\/\/.*/gm,
  '.tsx': /^[ \t]*\/\*[\s\S]*?\*\/|(?<!\S)\/\/.*/gm,
  '.js': /^[ \t]*\/\*[\s\S]*?\*\/|(?<!\S)\/\/.*/gm,
  '.css': /\/\*[\s\S]*?\*\//g,
  '.sh': /(?<!\S)#.*/g,
  '.yml': /.+/g,
  '.md': /.+/g,
}

function pronouns({ path, text }: File): string[] {
  const prose = extname(path) === '.md' ? text.replace(/^```[\s\S]*?^```/gm, '') : text
  return (prose.match(comments[extname(path)]!) ?? [])
    .filter(each =>
      /\b(?:who|whoever|whom)\b/i.test(each.replace(/"[^"\n]*"|(?<!\w)'[^'\n]*'|`[^`\n]*`/g, '')),
    )
    .map(each => `${path}: ${each.trim()}`)
}

test('documents and comments name the noun instead of "who"', () => {
  const patterns = Object.keys(comments).map(extension => `**/*${extension}`)
  const files = patterns.flatMap(filesIn).filter(({ path }) => !old.test(path))
  assert.ok(files.length > 1_000)
  assert.deepEqual(files.flatMap(pronouns), [])
})

test('a pronoun is found in a comment and a document, and nowhere else', () => {
  assert.equal(
    pronouns({ path: 'a.ts', text: "// Whoever comes.\n/** A device's owner, who isn't here. */" }).length,
    2,
  )
  assert.equal(pronouns({ path: 'a.md', text: 'The device who\nA "who", `who`.\n```\nwho\n```' }).length, 1)
  assert.deepEqual(pronouns({ path: 'a.ts', text: "const name = 'who' // the whole 'who'" }), [])
})
