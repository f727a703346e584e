// The shape of the house: allowed imports, lengths of files, the first lines of every file.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path/posix'
import { test } from 'node:test'

type File = { path: string; text: string }

const everything = [
  'pki',
  'db',
  'admission',
  'policy',
  'broker',
  'provisioning',
  'admin',
  'client',
  'device-sim',
  'cli',
  'console',
]

/** What each room may import besides itself. A room that is not named here does not exist. */
const mayImport: Record<string, readonly string[]> = {
  pki: [],
  db: ['pki'],
  admission: ['db', 'pki'],
  policy: [],
  admin: [],
  broker: ['pki', 'db', 'admission', 'policy', 'admin'],
  provisioning: ['pki', 'db', 'admission', 'policy', 'admin'],
  client: [],
  // What anybody may know: the shapes of the API, what a policy is, what a reason means, how a key is called.
  console: ['client', 'policy', 'db', 'pki'],
  'device-sim': ['admin'],
  cli: everything,
  test: [...everything, 'bench'],
  bench: [...everything, 'test'],
}

/** Rooms whose folders import each other in one direction alone. A file beside the folders counts as a folder. */
const roomsWithoutCircles = [
  'pki',
  'db',
  'admission',
  'policy',
  'admin',
  'client',
  'broker',
  'device-sim',
  'provisioning',
]

/** Packages that one room alone knows. */
const ownedPackages: Record<string, RegExp> = {
  // Its documented bus is used by one file, and its clients by nobody.
  aedes: /^(broker\/mqtt\/routing\/bus\.ts$|test\/)/,
  'aedes-persistence': /^$/,
  mqemitter: /^(broker\/bus|test)\//,
  '@nats-io/transport-node': /^(broker\/bus|test|bench)\//,
  ws: /^(broker\/gate|device-sim\/links|test)\//,
  kysely: /^db\//,
  // Connections are made in one place, with one idea of passwords and TLS.
  pg: /^(db\/replication|test|bench)\//,
  fastify: /^provisioning\//,
  mqtt: /^(device-sim|bench|test)\//,
  react: /^console\//,
  'react-dom': /^console\//,
  vite: /^(console|(cli|device-sim)\/package)\//,
  'playwright-core': /^(bench|test)\//,
}

const LINES_MAX = 300
const timeParsers = /^(pki\/instant\.ts$|test\/|bench\/|console\/)/
/** What we sign ourselves is made with such libraries; what strangers send is read by them where a guard is around it. */
const byteReaders =
  /^(test|bench|device-sim|provisioning\/(ca|revocation))\/|^pki\/(revocation-list|distribution-points|self-signed)\.ts$|^provisioning\/(x509\/(csr|der)|est\/est)\.ts$/

function faultsOf(files: File[]): string[] {
  return files.flatMap(file => [...faultsOfForm(file), ...faultsOfImports(file)])
}

function faultsOfForm({ path, text }: File): string[] {
  const faults: string[] = []
  const lines = text.split('\n').length - 1
  if (lines > LINES_MAX) faults.push(`${path}: ${lines} lines, more than ${LINES_MAX}`)
  if (!/^(#!.*\n)?(\/\/|\/\*)/.test(text)) faults.push(`${path}: does not open with a comment`)
  // What is no time compares as false with everything: one file parses texts, and gives a moment or nothing.
  if (/\bDate\.parse\(|new Date\(\w+\.valid(From|To)\)/.test(text) && !timeParsers.test(path))
    faults.push(`${path}: parses a time by itself, and not by pki/instant.ts`)
  // Bytes of strangers are taken apart in few places, each of which answers for what its library throws.
  if (/from '(asn1js|pkijs|@peculiar\/[\w-]+)'/.test(text) && !byteReaders.test(path))
    faults.push(`${path}: imports a library that reads DER`)
  if (/(^|\/)(utils|util|helpers?)\.tsx?$/.test(path)) faults.push(`${path}: a helper lives with its owner`)
  return faults
}

function faultsOfImports({ path, text }: File): string[] {
  const room = path.split('/')[0]!
  const allowed = mayImport[room]
  if (allowed === undefined) return [`${path}: no room ${room} is in the table`]
  return importsOf(text).flatMap(specifier => {
    if (!specifier.startsWith('.')) {
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/')
      const owner = ownedPackages[name]
      return owner === undefined || owner.test(path) ? [] : [`${path}: imports ${name}`]
    }
    const target = normalize(join(dirname(path), specifier)).split('/')[0]!
    return target === room || target.includes('.') || allowed.includes(target)
      ? []
      : [`${path}: imports ${target}/`]
  })
}

/** Every import that lies on a circle of folders, or of what `nodeOf` gives. Types count: they too must be read to understand one. */
function faultsOfCircles(files: File[], nodeOf: (path: string) => string = folderOf): string[] {
  const imports = files.flatMap(({ path, text }) =>
    importsOf(text)
      .filter(specifier => specifier.startsWith('.'))
      .map(specifier => ({ path, from: nodeOf(path), to: nodeOf(join(dirname(path), specifier)) }))
      .filter(({ from, to }) => from !== to && from.split('/')[0] === to.split('/')[0]),
  )
  const targets = Map.groupBy(imports, ({ from }) => from)
  const leadsTo = (from: string, to: string, seen = new Set<string>()): boolean =>
    (targets.get(from) ?? []).some(edge => {
      if (edge.to === to) return true
      if (seen.has(edge.to)) return false
      return leadsTo(edge.to, to, seen.add(edge.to))
    })
  return imports
    .filter(({ from, to }) => leadsTo(to, from))
    .map(({ path, from, to }) => `${path}: imports ${to}, which imports ${from} in turn`)
}

/** `db/roll` for a file of that folder, `db/open.ts` for a file beside the folders. */
function folderOf(path: string): string {
  return normalize(path).split('/').slice(0, 2).join('/')
}

function importsOf(text: string): string[] {
  const code = text.replace(/^\s*(\/\/|\*|\/\*).*$/gm, '')
  return [
    ...code.matchAll(
      /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]/g,
    ),
  ].map(match => match[1] ?? match[2]!)
}

function filesOfHouse(): File[] {
  const root = new URL('..', import.meta.url).pathname
  const paths = Object.keys(mayImport).flatMap(room =>
    globSync(`${room}/**/*.{ts,tsx}`, { cwd: root, exclude: ['console/dist*/**'] }),
  )
  return paths.map(path => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}

test('every file keeps to the table of rooms, to its length and to its opening comment', () => {
  const files = filesOfHouse()
  assert.ok(files.length > 100)
  assert.deepEqual(faultsOf(files), [])
})

test('no two folders of a room import each other, directly or by way of others', () => {
  const files = filesOfHouse().filter(({ path }) => roomsWithoutCircles.includes(path.split('/')[0]!))
  assert.deepEqual(faultsOfCircles(files), [])
})

test('no two files import each other, directly or by way of others', () => {
  assert.deepEqual(faultsOfCircles(filesOfHouse(), normalize), [])
})

test('a circle of files within one folder is found', () => {
  const files: File[] = [
    { path: 'db/roll/a.ts', text: "import { b } from './b.ts'" },
    { path: 'db/roll/b.ts', text: "import type { C } from './c.ts'" },
    { path: 'db/roll/c.ts', text: "import { a } from './a.ts'\nimport { d } from './d.ts'" },
    { path: 'db/roll/d.ts', text: '' },
  ]
  assert.deepEqual(faultsOfCircles(files), [])
  assert.deepEqual(
    faultsOfCircles(files, normalize).map(fault => fault.split(':')[0]),
    ['db/roll/a.ts', 'db/roll/b.ts', 'db/roll/c.ts'],
  )
  assert.deepEqual(faultsOfCircles(files.slice(1), normalize), [])
})

test('a circle of folders is found', () => {
  const files: File[] = [
    { path: 'db/roll/a.ts', text: "import { b } from '../issuers/b.ts'" },
    { path: 'db/issuers/b.ts', text: "import type { C } from '../open.ts'" },
    { path: 'db/open.ts', text: "import { d } from './roll/d.ts'" },
    { path: 'db/roll/d.ts', text: "import { e } from '../audit/e.ts'" },
    { path: 'db/audit/e.ts', text: "import { x } from '../../pki/x.ts'" },
  ]
  assert.deepEqual(
    faultsOfCircles(files).map(fault => fault.split(':')[0]),
    ['db/roll/a.ts', 'db/issuers/b.ts', 'db/open.ts'],
  )
  assert.deepEqual(faultsOfCircles(files.slice(1)), [])
})

test('each rule can fail', () => {
  const opening = '// A room.\n'
  const bad: [path: string, text: string, fault: RegExp][] = [
    ['broker/a.ts', "import { x } from '../provisioning/index.ts'", /imports provisioning/],
    ['provisioning/roll/a.ts', "import type { X } from '../../broker/index.ts'", /imports broker/],
    ['provisioning/a.ts', "export { x } from '../broker/index.ts'", /imports broker/],
    ['broker/a.ts', 'const at = Date.parse(text)', /parses a time by itself/],
    ['cli/a.ts', 'const at = new Date(leaf.validTo)', /parses a time by itself/],
    ['provisioning/roll/a.ts', "import * as x509 from '@peculiar/x509'", /a library that reads DER/],
    ['broker/a.ts', "const x = await import('../cli/main.ts')", /imports cli/],
    ['broker/a.ts', "import {\n  x,\n  y,\n} from '../test/harness/roll.ts'", /imports test/],
    ['db/a.ts', "import { x } from '../admission/decide.ts'", /imports admission/],
    ['pki/a.ts', "import '../db/open.ts'", /imports db/],
    ['policy/a.ts', "import { x } from '../db/reason.ts'", /imports db/],
    ['device-sim/a.ts', "import { x } from '../pki/pem.ts'", /imports pki/],
    ['cli/a.ts', "import { x } from '../bench/main.ts'", /imports bench/],
    ['broker/index.ts', "import { Aedes } from 'aedes'", /imports aedes/],
    [
      'broker/gate/index.ts',
      "import x from 'aedes-persistence/asyncPersistence.js'",
      /imports aedes-persistence/,
    ],
    ['attic/a.ts', '', /no room attic/],
    ['broker/utils.ts', '', /lives with its owner/],
    ['broker/long.ts', 'const x = 1\n'.repeat(300), /301 lines/],
  ]
  for (const [path, text, fault] of bad) {
    const faults = faultsOf([{ path, text: opening + text }])
    assert.equal(faults.length, 1, `${path}: ${faults}`)
    assert.match(faults[0]!, fault)
  }
  assert.match(faultsOf([{ path: 'broker/a.ts', text: "import 'node:fs'\n" }])[0]!, /comment/)
  assert.deepEqual(
    faultsOf([{ path: 'broker/a.ts', text: `${opening}import { x } from '../db/reason.ts'` }]),
    [],
  )
})
