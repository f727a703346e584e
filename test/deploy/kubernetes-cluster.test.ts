// The manifests for several machines, as far as they can be held without a cluster: they fit those that they change, their settings can be
// read, and the script that lays the CA does so.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { isVariableFlag } from '../../cli/service/variable-flags.ts'
import { repository } from '../cli/running.ts'

const folder = join(repository, 'deploy/kubernetes-cluster')
const read = (name: string, from = folder) => readFileSync(join(from, name), 'utf8')
const kustomization = parse(read('kustomization.yaml'))
const base = join(folder, kustomization.resources[0])
const statefulSet = parseAllDocuments(read('statefulset.yaml', base))[0]!.toJS()
const pod = statefulSet.spec.template.spec
const patch = parse(read(kustomization.patches[0].path))
const more = patch.spec.template.spec
const budget = parse(read('disruption.yaml'))
const settings = new Map<string, string>(
  kustomization.configMapGenerator[0].literals.map((line: string) => [
    line.slice(0, line.indexOf('=')),
    line.slice(line.indexOf('=') + 1),
  ]),
)
type Mount = { name: string; mountPath: string; readOnly?: boolean }
type Container = { name: string; volumeMounts: Mount[] }

describe('deploy/kubernetes-cluster', () => {
  it('lists every manifest and changes what the others hold', () => {
    const files = globSync('*.yaml', { cwd: folder }).filter(name => name !== 'kustomization.yaml')
    const { resources, patches } = kustomization
    assert.deepEqual(
      [...resources.slice(1), ...patches.map(({ path }: { path: string }) => path)].sort(),
      files.sort(),
    )
    const other = parse(read('kustomization.yaml', base))
    assert.equal(kustomization.namespace, other.namespace)
    assert.deepEqual([patch.kind, patch.metadata.name], [statefulSet.kind, statefulSet.metadata.name])
    const names = pod.containers.map(({ name }: Container) => name)
    for (const { name } of more.containers) assert.ok(names.includes(name), name)
    assert.equal(kustomization.configMapGenerator[0].name, other.configMapGenerator[0].name)
    assert.ok(patch.spec.replicas > 1)
    const [labels] = other.labels
    const selectors = [budget.spec.selector, more.topologySpreadConstraints[0].labelSelector]
    for (const { matchLabels } of selectors) assert.deepEqual(matchLabels, labels.pairs)
    assert.equal(budget.spec.maxUnavailable, 1)
  })

  it('gives every container what its settings name, from secrets, to read alone', () => {
    for (const name of settings.keys())
      assert.ok(
        isVariableFlag(
          name
            .replace('ROLLCALL_', '')
            .toLowerCase()
            .replace(/_(.)/g, (_, letter) => letter.toUpperCase()),
        ),
        name,
      )
    const volumes = new Map(more.volumes.map((volume: { name: string }) => [volume.name, volume]))
    const mountsOf = (name: string): Mount[] =>
      more.containers.find((container: Container) => container.name === name).volumeMounts
    const files = (text: string) => [...text.matchAll(/\/etc\/[\w./]+/g)].map(([path]) => path)
    for (const [variable, value] of settings)
      for (const file of files(value))
        for (const name of variable === 'ROLLCALL_BUS' ? ['broker'] : ['broker', 'provisioning'])
          assert.ok(
            mountsOf(name).some(({ mountPath }) => file.startsWith(`${mountPath}/`)),
            `${name}: ${file}`,
          )
    for (const { name, readOnly } of [...mountsOf('broker'), ...mountsOf('provisioning')]) {
      const { secret } = volumes.get(name) as { secret: { defaultMode: number } }
      assert.deepEqual([secret.defaultMode, readOnly], [0o400, true], name)
    }
    assert.doesNotMatch(settings.get('ROLLCALL_REGISTRY')!, /sslmode/)
    assert.doesNotMatch(settings.get('ROLLCALL_BUS')!, /tls=/)
  })

  it('names each broker by its pod', () => {
    const { env } = more.containers.find(({ name }: Container) => name === 'broker')
    const [node] = env
    assert.deepEqual([node.name, node.valueFrom.fieldRef.fieldPath], ['ROLLCALL_NODE', 'metadata.name'])
  })

  it('lays the CA into a new directory, and leaves what is there', () => {
    const [ca] = more.initContainers
    assert.deepEqual(ca.securityContext, pod.containers[0].securityContext)
    const [data, from] = ca.volumeMounts as [Mount, Mount]
    const [program, flag, script] = ca.command as [string, string, string]
    assert.deepEqual([program, flag, data.name, from.readOnly], ['/nodejs/bin/node', '-e', 'data', true])
    const directory = pod.containers[0].args.find((arg: string) => arg.startsWith('--data=')).slice(7)
    assert.ok(directory.startsWith(`${data.mountPath}/`))
    const root = mkdtempSync(join(tmpdir(), 'rollcall-kubernetes-'))
    try {
      const [there, volume] = [join(root, 'ca'), join(root, 'volume')]
      for (const path of [there, volume]) mkdirSync(path)
      for (const name of ['ca.crt', 'root.key', '..data']) writeFileSync(join(there, name), name)
      const here = script.replaceAll(directory, join(volume, 'data')).replaceAll(from.mountPath, there)
      for (const again of [false, true]) {
        if (again) writeFileSync(join(there, 'ca.crt'), 'another')
        execFileSync(process.execPath, ['-e', here])
        const key = join(volume, 'data/keys/root.key')
        assert.deepEqual([readFileSync(key, 'utf8'), statSync(key).mode & 0o777], ['root.key', 0o600])
        assert.equal(read('ca.crt', join(volume, 'data')), 'ca.crt')
        assert.equal(statSync(join(volume, 'data')).mode & 0o777, 0o700)
        assert.ok(!existsSync(join(volume, 'data/..data')))
      }
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  })
})
