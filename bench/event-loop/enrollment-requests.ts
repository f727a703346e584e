// The longest requests of CMP, ACME and EST that are no requests at all.
import type { Asked } from './asked.ts'

export function cmp(path: string): Asked {
  return { path, raw: Buffer.alloc(32 * 1024, 0x30), type: 'application/pkixcmp' }
}

/** Every signed request of ACME, as long as it may be. */
export function acme(uuid: string, hex: string): Record<string, Asked[]> {
  const part = 'A'.repeat(20_000)
  const raw = JSON.stringify({ protected: part, payload: part, signature: part })
  const values: Record<string, string> = { id: uuid, index: '0', fingerprint: hex }
  const routes = [
    ...['new-account', 'account/:id', 'account/:id/orders', 'key-change', 'new-order', 'revoke-cert'],
    ...['order/:id', 'order/:id/finalize', 'authorization/:id/:index', 'certificate/:fingerprint'],
  ].map(route => `/acme/${route}`)
  return Object.fromEntries(
    routes.map(route => {
      const path = route.replace(/:(\w+)/g, (_, name: string) => values[name] ?? '')
      return [`POST ${route}`, [{ path, raw, type: 'application/jose+json' }]]
    }),
  )
}

export function est(path: string): Asked {
  return { path, raw: Buffer.alloc(48_000, 'A'), type: 'application/pkcs10' }
}
