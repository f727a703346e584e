// Statements that can hold for nobody are told, and none that could hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Statement } from '../../policy/document.ts'
import { futileTopics } from '../../policy/futile-topics.ts'

const allow = (actions: Statement['actions'], ...topics: string[]): Statement => ({
  effect: 'allow',
  actions,
  topics,
})
const deny = (actions: Statement['actions'], ...topics: string[]): Statement => ({
  effect: 'deny',
  actions,
  topics,
})
const own = `devices/\${device.id}`

const rows: [string, Statement[], RegExp[]][] = [
  [
    'what is the broker’s own',
    [allow(['subscribe'], '$SYS/#', '$share/g/a', '$SYS/broker/#')],
    [/\[0\].topics\[0\].*\$SYS\/# never/, /topics\[1\].*\$share/],
  ],
  [
    'publishing into what may be read',
    [allow(['subscribe', 'publish'], '$SYS/broker/x')],
    [/publish on \$SYS\/broker\/x never holds: nobody/],
  ],
  [
    'what is denied as a whole',
    [allow(['publish', 'subscribe'], `${own}/a`), deny(['publish'], `${own}/#`)],
    [/publish on .*\/a never holds: statements\[1\]/],
  ],
  [
    'a wildcard that denies a variable',
    [deny(['subscribe'], 'devices/+/a'), allow(['subscribe'], `${own}/a`)],
    [/statements\[0\] denies all of it/],
  ],
  ['what is denied in part', [allow(['publish'], `${own}/#`), deny(['publish'], `${own}/a`)], []],
  ['what another device is denied', [allow(['publish'], `${own}/a`), deny(['publish'], 'devices/d1/#')], []],
  ['what another action is denied', [allow(['publish'], 'a'), deny(['subscribe'], '#')], []],
  ['a variable at the beginning', [allow(['publish'], `\${device.id}/a`)], []],
]

for (const [name, statements, told] of rows)
  test(`${told.length === 0 ? 'says nothing of' : 'names'} ${name}`, () => {
    const found = futileTopics({ name: 'p', statements }).map(({ path, message }) => `${path}: ${message}`)
    assert.equal(found.length, told.length, found.join('; '))
    for (const [index, words] of told.entries()) assert.match(found[index]!, words)
  })
