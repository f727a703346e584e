// What is running: the version of Rollcall, and of what it stands on.
import { Gauge, type Registry } from '@prometheus-io/client'
import manifest from '../package.json' with { type: 'json' }
import { runtimeName } from './runtime.ts'

/** `rollcall_build_info`: always 1, its labels are the facts. */
export function createBuildInfo(registry: Registry, name: string): void {
  const { node, openssl } = process.versions
  new Gauge({
    name: 'rollcall_build_info',
    help: 'Always 1: what is running',
    labelNames: ['process', 'version', 'runtime', 'node', 'openssl'] as const,
    registers: [registry],
  }).set({ process: name, version: manifest.version, runtime: runtimeName, node, openssl }, 1)
}
