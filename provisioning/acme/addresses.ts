// The addresses of ACME's resources, under the name by which a client called: it is what TLS verified there, and each signed request must name it.
import { acmeFault } from './acme-problems.ts'

export const paths = {
  directory: '/acme/directory',
  newNonce: '/acme/new-nonce',
  newAccount: '/acme/new-account',
  newOrder: '/acme/new-order',
  revokeCert: '/acme/revoke-cert',
  keyChange: '/acme/key-change',
  renewalInfo: '/acme/renewal-info',
} as const

export type Addresses = ReturnType<typeof addressesAt>

const HOST = /^[A-Za-z0-9.:[\]_-]{1,255}$/

/** The Link that every resource but the directory has (RFC 8555 §7.1); null where the Host header names no host. */
export function linkToDirectory(host: string): string | null {
  return HOST.test(host) ? `<https://${host}${paths.directory}>;rel="index"` : null
}

/** `host` is that of the Host header, with its port. */
export function addressesAt(host: string) {
  if (!HOST.test(host)) throw acmeFault('acme_malformed', 'the Host header is missing, or names no host')
  const base = `https://${host}`
  const account = `${base}/acme/account/`
  const order = (id: string) => `${base}/acme/order/${id}`
  return {
    of: (path: string) => base + path,
    directory: base + paths.directory,
    account: (id: string) => account + id,
    orders: (accountId: string) => `${account}${accountId}/orders`,
    order,
    finalize: (id: string) => `${order(id)}/finalize`,
    authorization: (id: string, index: number) => `${base}/acme/authorization/${id}/${index}`,
    certificate: (fingerprint: string) => `${base}/acme/certificate/${fingerprint}`,
    /** The ID in the address of an account; null where it is none of ours. */
    accountIn: (url: string) => (url.startsWith(account) ? url.slice(account.length) : null),
  }
}
