// Documents and comments name the noun: no "who", "whoever" or "whom". Words in quotes, code and string literals do not count.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { test } from 'node:test'

const root = new URL('..', import.meta.url).pathname
/** Texts that stay as they are: decisions up to 0058, and migrations, whose text a registry has already applied. */
const old = /^docs\/adr\/(?:00[0-4]\d|005[0-8]|README)|^db\/migrations\//

const comments: Readonly<Record<string, RegExp>> = {
  '.ts': /^[ \t]*\/\*[\s\S]*?\*\/|(?<!\S)\/\/.*/gm,
  '.tsx': /^[ \t]*\/\*[\s\S]*?\*\/|(?<!\S)\/\/.*/gm,
  '.js': /^[ \t]*\/\*[\s\S]*?\*\/|(?<!\S)\/\/.*/gm,
  '.css': /\/\*[\s\S]*?\*\//g,
  '.sh': /(?<!\S)#.*/g,
  '.yml': /.+/g,
  '.md': /.+/g,
}

function pronouns(path: string, text: string): string[] {
  const prose = extname(path) === '.md' ? text.replace(/^```[\s\S]*?^```/gm, '') : text
  return (prose.match(comments[extname(path)]!) ?? [])
    .filter(each =>
      /\b(?:who|whoever|whom)\b/i.test(each.replace(/"[^"\n]*"|(?<!\w)'[^'\n]*'|`[^`\n]*`/g, '')),
    )
    .map(each => `${path}: ${each.trim()}`)
}

test('documents and comments name the noun instead of "who"', () => {
  const patterns = Object.keys(comments).map(extension => `**/*${extension}`)
  const exclude = ['**/node_modules/**', '**/dist/**', '**/dist-*/**', '{release,data}/**']
  const paths = globSync(patterns, { cwd: root, exclude }).filter(path => !old.test(path))
  assert.ok(paths.length > 1_000)
  assert.deepEqual(
    paths.flatMap(path => pronouns(path, readFileSync(join(root, path), 'utf8'))),
    [],
  )
})

test('a pronoun is found in a comment and a document, and nowhere else', () => {
  assert.equal(pronouns('a.ts', "// Whoever comes.\n/** A device's owner, who isn't here. */").length, 2)
  assert.equal(pronouns('a.md', 'The device who\nA "who", `who`.\n```\nwho\n```').length, 1)
  assert.deepEqual(pronouns('a.ts', "const name = 'who' // the whole 'who'"), [])
})
