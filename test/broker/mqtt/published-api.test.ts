// aedes is used by its published API alone: no other file imports it, and the one that does neither casts, nor augments a module, nor
// replaces a function of it. What its types do not have does not compile there.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const file = new URL('../../../broker/mqtt/routing/bus.ts', import.meta.url)

const rules: [what: string, pattern: RegExp][] = [
  ['augments a module', /declare\s+module/],
  ['casts beyond the types', /\bas\s+(any|unknown|never)\b/],
  ['suppresses the types', /@ts-(ignore|expect-error|nocheck)/],
  ['assigns to a property of aedes', /\baedes(\.\w+|\[[^\]]+\])\s*(\?\?|\|\||&&)?=(?!=)/],
  ['reads a property by a computed name', /\baedes\s*\[/],
  ['changes the prototype', /\.prototype\b|Object\.(assign|defineProperty|setPrototypeOf)\(\s*(aedes|Aedes)/],
  ['uses what is private', /\baedes\._\w+/],
  ['imports beside the published entry', /from '(aedes\/[^']+|aedes-persistence[^']*|mqemitter)'/],
]

function faultsOf(text: string): string[] {
  return rules.filter(([, pattern]) => pattern.test(text)).map(([what]) => what)
}

test('the bus keeps to the published API of aedes', () => {
  const text = readFileSync(file, 'utf8')
  assert.match(text, /from 'aedes'/)
  assert.deepEqual(faultsOf(text), [])
})

test('each rule can fail', () => {
  const bad = [
    "declare module 'aedes' { interface Aedes { counter: number } }",
    'const { clients } = aedes as unknown as { clients: object }',
    '// @ts-expect-error\naedes.counter',
    'aedes.publish = () => {}',
    "aedes['counter']",
    'Object.assign(aedes, { id: 1 })',
    'aedes._clearWills',
    "import Client from 'aedes/lib/client.js'",
  ]
  for (const [index, text] of bad.entries())
    assert.ok(faultsOf(text).includes(rules[index]![0]), `${rules[index]![0]}: ${text}`)
})
