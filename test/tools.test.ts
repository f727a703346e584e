// The list of files that need other programs is held against what the files start.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join, matchesGlob, relative } from 'node:path'
import { test } from 'node:test'
import { debianPackages, npmPackages, toolUsers } from './tools.ts'

const here = import.meta.dirname

function undeclared(path: string, text: string): string[] {
  const declared = Object.entries(toolUsers).flatMap(([glob, tools]) =>
    matchesGlob(path, glob) ? tools : [],
  )
  const started = Object.keys(debianPackages).filter(tool =>
    new RegExp(`(spawn|spawnSync|execFile|execFileSync|run|start)\\(\\s*'${tool}'`).test(text),
  )
  return started.filter(tool => !declared.includes(tool))
}

test('every test file that starts a program of another package is listed with it', () => {
  const found = globSync('**/*.test.ts', { cwd: here }).flatMap(path =>
    undeclared(path, readFileSync(join(here, path), 'utf8')).map(tool => `${path}: ${tool}`),
  )
  assert.deepEqual(found, [])
  assert.deepEqual(
    undeclared('elsewhere.test.ts', `execFileSync('${'openssl'}', [])`),
    ['openssl'],
    'it can fail',
  )
})

test('every entry of the list names files that exist and programs whose package is known', () => {
  for (const [glob, tools] of Object.entries(toolUsers)) {
    assert.ok(globSync(glob, { cwd: here }).length > 0, glob)
    for (const tool of tools)
      assert.ok(Object.hasOwn(debianPackages, tool) || Object.hasOwn(npmPackages, tool), tool)
  }
  const ci = readFileSync(join(relative(process.cwd(), here), '..', '.ci', 'run'), 'utf8')
  for (const name of Object.values(debianPackages).flatMap(names => names.split(' ')))
    assert.match(ci, new RegExp(`\\b${name}\\b`), '.ci/run installs it')
})
