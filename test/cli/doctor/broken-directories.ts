// Data directories of which one thing is broken, each as some accident leaves it.
import {
  chmodSync,
  lstatSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { openssl } from '../../provisioning/harness.ts'
import { temporaryDirectory } from '../running.ts'

const DAY_MS = 86_400_000

const keys = (data: string, name: string) => join(data, 'keys', name)
const newKey = (...type: string[]) => openssl(['genpkey', '-algorithm', ...type])
const sql = (data: string, text: string) => {
  const sqlite = new Sqlite(join(data, 'registry.db'))
  sqlite.exec(text)
  sqlite.close()
}
const p256 = ['EC', '-pkeyopt', 'ec_paramgen_curve:P-256'] as const

type Case = [
  what: string,
  verdict: 'warn' | 'fail',
  check: string,
  found: RegExp,
  /** May give what else of the context is to be different. */
  broken: (data: string) => unknown,
]
/** One for each thing that the doctor looks at in a directory, broken in the way that its name says. */
export const brokenDirectories: Case[] = [
  [
    'is a file',
    'fail',
    'directory',
    /no directory/,
    data => {
      rmSync(data, { recursive: true })
      writeFileSync(data, '')
    },
  ],
  ['lost its registry', 'fail', 'directory', /no registry\.db/, data => rmSync(join(data, 'registry.db'))],
  [
    'has an unknown setting',
    'fail',
    'settings',
    /did you mean handshakesMax/,
    data => writeFileSync(join(data, 'rollcall.yaml'), 'broker: { handshakeMax: 1 }'),
  ],
  [
    'shows a key to others',
    'fail',
    'modes',
    /keys\/issuing\.key/,
    data => chmodSync(keys(data, 'issuing.key'), 0o640),
  ],
  [
    'shows its token to others',
    'fail',
    'modes',
    /admin\.token/,
    data => chmodSync(join(data, 'admin.token'), 0o644),
  ],
  ['lets others in', 'warn', 'modes', /others may enter/, data => chmodSync(data, 0o755)],
  [
    'has a link for a file',
    'warn',
    'modes',
    /links: ca\.crt/,
    data => {
      renameSync(join(data, 'ca.crt'), join(data, 'root.crt'))
      symlinkSync('root.crt', join(data, 'ca.crt'))
    },
  ],
  [
    'has a registry that is none',
    'fail',
    'registry',
    /cannot be read|no registry/,
    data => writeFileSync(join(data, 'registry.db'), 'x'.repeat(5_000), { mode: 0o600 }),
  ],
  [
    'has a foreign database',
    'fail',
    'registry',
    /no registry of Rollcall/,
    data => sql(data, 'PRAGMA application_id = 7'),
  ],
  [
    'has a cut-off registry',
    'fail',
    'registry',
    /damaged|cannot be read/,
    data => truncateSync(join(data, 'registry.db'), lstatSync(join(data, 'registry.db')).size - 8_192),
  ],
  [
    'has a newer schema',
    'fail',
    'registry',
    /schema 999, this version knows/,
    data => sql(data, 'PRAGMA user_version = 999'),
  ],
  [
    'has an older schema',
    'warn',
    'registry',
    /this version makes/,
    data => sql(data, 'PRAGMA user_version = 3'),
  ],
  [
    'has a log that nobody has open',
    'warn',
    'registry',
    /not looked at/,
    data => writeFileSync(join(data, 'registry.db-wal'), '', { mode: 0o600 }),
  ],
  ['lost the key of its CA', 'fail', 'CA key', /no issuing key/, data => rmSync(keys(data, 'issuing.key'))],
  [
    'has the key of another CA',
    'fail',
    'CA key',
    /belongs to issuing\.crt/,
    data => writeFileSync(keys(data, 'issuing.key'), newKey(...p256)),
  ],
  [
    'has no such passphrase file',
    'fail',
    'CA',
    /cannot be read/,
    () => ({ env: { ROLLCALL_CA_PASSPHRASE_FILE: '/nowhere' } }),
  ],
  [
    'has a key in the clear where a passphrase is set',
    'fail',
    'CA key',
    /not encrypted although/,
    data => ({ env: { ROLLCALL_CA_PASSPHRASE_FILE: passphraseFile(data) } }),
  ],
  [
    'has another root',
    'fail',
    'CA',
    /not signed by ca\.crt/,
    data => writeFileSync(join(data, 'ca.crt'), selfSigned()),
  ],
  [
    'lost the key of its server certificate',
    'fail',
    'server certificate',
    /server\.key is missing/,
    data => rmSync(keys(data, 'server.key')),
  ],
  [
    'has another server key',
    'fail',
    'server certificate',
    /is not its key/,
    data => writeFileSync(keys(data, 'server.key'), newKey(...p256)),
  ],
  [
    'has half a server certificate',
    'fail',
    'server certificate',
    /no chain/,
    data => writeFileSync(join(data, 'server.crt'), selfSigned()),
  ],
  [
    'did not renew its server certificate',
    'warn',
    'server certificate',
    /ends in 9 days/,
    () => ({ now: Date.now() + 80 * DAY_MS }),
  ],
  [
    'let its server certificate end',
    'fail',
    'server certificate',
    /ended 1 day ago/,
    () => ({ now: Date.now() + 91 * DAY_MS + 3_600_000 }),
  ],
  ['has a CA that ends soon', 'warn', 'CA', /issuing: ends in/, () => ({ now: Date.now() + 3_500 * DAY_MS })],
  ['has a clock that is behind', 'fail', 'clock', /later/, () => ({ now: Date.now() - 3 * DAY_MS })],
  [
    'has a file from the future',
    'fail',
    'clock',
    /ca\.crt is from/,
    data => utimesSync(join(data, 'ca.crt'), 4e9, 4e9),
  ],
  [
    'lost its audit key',
    'fail',
    'audit key',
    /audit\.key is missing/,
    data => rmSync(keys(data, 'audit.key')),
  ],
  [
    'has another audit key',
    'fail',
    'audit key',
    /of another key/,
    data => writeFileSync(keys(data, 'audit.key'), newKey('ED25519')),
  ],
  [
    'was left by a killed up',
    'warn',
    'running',
    /up was killed/,
    data => writeFileSync(join(data, 'endpoints.json'), '{}', { mode: 0o600 }),
  ],
]

function selfSigned(): string {
  using place = temporaryDirectory()
  const key = join(place.path, 'key')
  return openssl(['req', '-x509', '-newkey', 'ed25519', '-nodes', '-keyout', key, '-subj', '/CN=other'])
}

function passphraseFile(data: string): string {
  const file = join(data, '..', 'passphrase')
  writeFileSync(file, 'correct horse battery staple\n')
  return file
}
