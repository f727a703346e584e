// The manifests, as far as they can be held without a cluster: what they name exists, and nothing has more rights than it needs.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { nouns } from '../../cli/program.ts'
import { repository } from '../cli/running.ts'

type Probe = { httpGet: { path: string; port: string } }
type Container = {
  name: string
  image: string
  args: string[]
  ports: { name: string; containerPort: number }[]
  envFrom: { configMapRef: { name: string } }[]
  volumeMounts: { name: string; mountPath: string }[]
  securityContext: Record<string, unknown>
} & Record<'startupProbe' | 'livenessProbe' | 'readinessProbe', Probe>

const folder = join(repository, 'deploy/kubernetes')
const read = (name: string) => readFileSync(join(folder, name), 'utf8')
const kustomization = parse(read('kustomization.yaml'))
// biome-ignore lint/suspicious/noExplicitAny: objects of every kind
const objects: any[] = kustomization.resources.flatMap((name: string) =>
  parseAllDocuments(read(name)).map(document => document.toJS()),
)
const only = (kind: string) => objects.find(object => object.kind === kind)
const { spec } = only('StatefulSet')
const pod = spec.template.spec
const containers: Container[] = pod.containers
const ports = containers.flatMap(container => container.ports)

describe('deploy/kubernetes', () => {
  it('lists every manifest, each of a kind that has a name', () => {
    const files = globSync('*.yaml', { cwd: folder }).filter(name => name !== 'kustomization.yaml')
    assert.deepEqual([...kustomization.resources].sort(), files.sort())
    for (const { apiVersion, kind, metadata } of objects) assert.ok(apiVersion && kind && metadata.name)
    assert.equal(kustomization.namespace, only('Namespace').metadata.name)
    assert.equal(kustomization.labels[0].includeSelectors, true, 'selectors come from there')
  })

  for (const container of containers) {
    const { name, args } = container
    const flag = (flag: string) =>
      args.flatMap(arg => (arg.startsWith(`${flag}=`) ? arg.slice(flag.length + 1) : []))[0]

    it(`gives ${name} a command, flags and ports that fit each other`, async () => {
      const [noun = '', ...flags] = args
      assert.equal(noun, name)
      const command = await nouns[noun]!.load()
      for (const given of flags)
        assert.ok(
          command.options.some(({ long }) => long === given.split('=')[0]),
          given,
        )
      const listens = ['--mqtts-port', '--api-port', '--status-port', '--admin-port'].flatMap(
        port => flag(port) ?? [],
      )
      assert.deepEqual(
        container.ports.map(({ containerPort }) => String(containerPort)),
        listens,
      )
      for (const [probe, path] of [
        ['startupProbe', '/livez'],
        ['livenessProbe', '/livez'],
        ['readinessProbe', '/readyz'],
      ] as const) {
        const { httpGet } = container[probe]
        assert.equal(httpGet.path, path)
        const asked = container.ports.find(port => port.name === httpGet.port)?.containerPort
        assert.equal(String(asked), flag('--admin-port'))
      }
      assert.ok(kustomization.images.some((image: { name: string }) => image.name === container.image))
      for (const { configMapRef } of container.envFrom)
        assert.ok(
          kustomization.configMapGenerator.some((map: { name: string }) => map.name === configMapRef.name),
        )
    })

    it(`runs ${name} as the restricted profile wants it, on a directory within the volume`, () => {
      assert.deepEqual(container.securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
      const volume = container.volumeMounts.find(({ name }) => name === 'data')!
      assert.ok(flag('--data')?.startsWith(`${volume.mountPath}/`))
    })
  }

  it('runs as the user of the image, without a token of the cluster, once', () => {
    const user = /^USER (\d+):(\d+)$/m.exec(readFileSync(join(repository, 'Dockerfile'), 'utf8'))!
    const { runAsUser, runAsGroup, fsGroup, runAsNonRoot, fsGroupChangePolicy, seccompProfile } =
      pod.securityContext
    assert.deepEqual([runAsUser, runAsGroup, fsGroup], [Number(user[1]), Number(user[2]), Number(user[2])])
    assert.deepEqual(
      [runAsNonRoot, fsGroupChangePolicy, seccompProfile.type],
      [true, 'OnRootMismatch', 'RuntimeDefault'],
    )
    assert.deepEqual(
      [pod.automountServiceAccountToken, pod.enableServiceLinks, spec.replicas],
      [false, false, 1],
    )
    const volumes = [
      ...pod.volumes,
      ...spec.volumeClaimTemplates.map(({ metadata }: { metadata: unknown }) => metadata),
    ]
    for (const { volumeMounts } of containers)
      for (const { name } of volumeMounts)
        assert.ok(
          volumes.some(volume => volume.name === name),
          name,
        )
  })

  it('leads services and the network policy to ports that there are, and metrics to nobody unlabelled', () => {
    const names = ports.map(({ name }) => name)
    for (const name of names) assert.ok(name.length <= 15, 'a port name has 15 characters at most')
    const services = objects.filter(({ kind }) => kind === 'Service')
    for (const { spec } of services)
      for (const { port, targetPort } of spec.ports)
        assert.equal(ports.find(({ name }) => name === targetPort)?.containerPort, port)
    assert.ok(services.some(({ metadata }) => metadata.name === spec.serviceName))
    for (const { from, ports } of only('NetworkPolicy').spec.ingress) {
      for (const { port } of ports) {
        assert.ok(names.includes(port), port)
        if (port.startsWith('admin')) assert.ok(from.every((peer: object) => 'namespaceSelector' in peer))
      }
    }
    const devices = services.filter(({ spec }) => spec.type === 'LoadBalancer')
    assert.deepEqual(
      devices.map(({ spec }) => spec.ports.map(({ name }: { name: string }) => name)),
      [['mqtts']],
    )
  })

  it('names the service that devices and operators reach in the server certificate', () => {
    const sans = containers[0]!.args.filter(arg => arg.startsWith('--san='))
    assert.deepEqual(sans, [`--san=${spec.serviceName}.${kustomization.namespace}.svc`])
  })
})
