// Services of a running system are killed, and back: what is ready alone may not have noticed yet that it is dead.
import { until } from '../cli/running.ts'
import type { Service, System } from '../e2e/system.ts'

const DEADLINE_MS = 60_000

/** kill -9 of each; resolves with the ms until all were started again and accept. */
export async function killAndReturn(system: System, services: readonly Service[]): Promise<number> {
  const restarts = () =>
    Promise.all(
      services.map(service => system.metric(`rollcall_service_restarts_total{service="${service}"}`)),
    )
  const before = await restarts()
  const killed = performance.now()
  for (const service of services) process.kill(system.childPid(service), 'SIGKILL')
  const back = async () =>
    (await restarts()).every((count, index) => count > before[index]!) &&
    (await system.admin('/readyz')).status === 200
  await until(back, `${services.join(' and ')} listen again`, DEADLINE_MS)
  return performance.now() - killed
}
