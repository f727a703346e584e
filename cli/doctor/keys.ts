// Keys and certificates: that each key is there, opens, and belongs to its certificate, that chains hold, and when they end.

import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { validityIn } from '../../pki/certificate-facts.ts'
import { certificateBlocks } from '../../pki/pem.ts'
import { createCaKeys } from '../../provisioning/ca/ca-keys.ts'
import { pointsAtToken } from '../../provisioning/ca/token-keys.ts'
import { dataDirectory } from '../../provisioning/data-directory.ts'
import { type CheckContext, type Finding, fail, inDays, ok, warn } from './finding.ts'

const DAY_MS = 86_400_000
/** The server certificate renews itself a month before its end. */
const SERVER_WARNING_MS = 20 * DAY_MS
const CA_WARNING_MS = 400 * DAY_MS

export function checkServerCertificate({ data, now }: CheckContext): Finding[] {
  const { serverCertificate, serverKey } = dataDirectory(data)
  if (!existsSync(serverCertificate)) return [ok('server certificate', 'none yet: the next start makes one')]
  const [leaf, issuer] = certificatesIn(serverCertificate)
  const again = 'remove server.crt and start provisioning: it makes another'
  if (leaf === undefined || issuer === undefined)
    return [fail('server certificate', 'it is no chain of two', again)]
  if (!existsSync(serverKey)) return [fail('server certificate', 'keys/server.key is missing', again)]
  if (!sameKey(leaf, publicHalf(serverKey))) {
    return [fail('server certificate', 'keys/server.key is not its key', again)]
  }
  if (!leaf.verify(issuer.publicKey)) return [fail('server certificate', 'its chain does not hold', again)]
  const root = existsSync(dataDirectory(data).rootCertificate)
    ? certificatesIn(dataDirectory(data).rootCertificate)[0]
    : undefined
  if (root !== undefined && !issuer.verify(root.publicKey)) {
    return [
      fail('server certificate', 'ca.crt is not the root of its chain: devices will not trust it', again),
    ]
  }
  const names = (leaf.subjectAltName ?? '').replaceAll(/(DNS|IP Address):/g, '')
  return checkExpiry('server certificate', leaf, now, SERVER_WARNING_MS, `for ${names}`, {
    ended: `${again}; until then no device connects`,
    ending: 'it should have renewed itself: the log line "server certificate not renewed" says why not',
  })
}

export function checkCa({ data, now, env }: CheckContext): Finding[] {
  const { rootCertificate, issuingCertificate, keys } = dataDirectory(data)
  if (!existsSync(rootCertificate) || !existsSync(issuingCertificate)) return []
  const [root] = certificatesIn(rootCertificate)
  const [issuing] = certificatesIn(issuingCertificate)
  const restore = 'restore it from a backup (rollcall restore)'
  if (root === undefined || issuing === undefined)
    return [fail('CA', 'ca.crt or issuing.crt holds no certificate', restore)]
  if (!issuing.verify(root.publicKey)) return [fail('CA', 'issuing.crt is not signed by ca.crt', restore)]
  return [
    ...checkExpiry('CA', root, now, CA_WARNING_MS, 'root', caAdvice),
    ...checkExpiry('CA', issuing, now, CA_WARNING_MS, 'issuing', caAdvice),
    ...checkIssuingKey(issuing, keys, data, env),
  ]
}

const caAdvice = {
  ended:
    'nothing under it is admitted: check the clock; else rollcall ca rotate, and enroll the devices again',
  ending: 'rollcall ca rotate, in time for every device to renew',
}

function checkIssuingKey(
  issuing: X509Certificate,
  keys: string,
  data: string,
  env: NodeJS.ProcessEnv,
): Finding[] {
  const files = existsSync(keys) ? readdirSync(keys).filter(name => /^issuing.*\.key$/.test(name)) : []
  const restore = 'restore it from a backup (rollcall restore): nothing is issued without'
  if (files.length === 0) return [fail('CA key', 'keys/ holds no issuing key', restore)]
  const paths = files.map(name => join(keys, name))
  if (paths.some(path => pointsAtToken(path))) return [ok('CA key', 'in a token, which is not asked')]
  const caKeys = createCaKeys(env['ROLLCALL_CA_PASSPHRASE_FILE'] || null, data)
  try {
    const fits = paths.some(path => issuing.publicKey.equals(caKeys.read(path)!.publicKey))
    if (!fits) return [fail('CA key', 'no issuing key belongs to issuing.crt', restore)]
  } catch (error) {
    return [fail('CA key', (error as Error).message, 'nothing is issued without it')]
  }
  return [
    ok('CA key', caKeys.sealed ? 'fits, under a passphrase' : 'fits, not encrypted (rollcall ca encrypt)'),
  ]
}

export function checkAuditKey({ data }: CheckContext): Finding[] {
  const { auditKey, auditPublicKey } = dataDirectory(data)
  if (!existsSync(auditKey) && !existsSync(auditPublicKey)) return []
  const restore = 'restore keys/audit.key and audit.pub from one backup'
  if (!existsSync(auditKey)) return [fail('audit key', 'keys/audit.key is missing', restore)]
  const own = publicHalf(auditKey)
  const shown = existsSync(auditPublicKey) ? createPublicKey(readFileSync(auditPublicKey)) : null
  if (shown === null) return [ok('audit key', 'audit.pub is missing: the next start writes it')]
  if (!own.equals(shown)) return [fail('audit key', 'audit.pub is of another key', restore)]
  return [ok('audit key', 'fits audit.pub')]
}

function checkExpiry(
  check: string,
  certificate: X509Certificate,
  now: number,
  warningMs: number,
  what: string,
  advice: { ended: string; ending: string },
): Finding[] {
  const { notBefore: begins, notAfter } = validityIn(certificate)
  const left = notAfter - now
  if (begins > now) {
    return [fail(check, `${what}: begins in ${inDays(begins - now)}`, 'set the clock: it is behind')]
  }
  if (left <= 0) return [fail(check, `${what}: ended ${inDays(left)} ago`, advice.ended)]
  if (left < warningMs) return [warn(check, `${what}: ends in ${inDays(left)}`, advice.ending)]
  return [ok(check, `${what}: ${inDays(left)} left`)]
}

function certificatesIn(file: string): X509Certificate[] {
  return certificateBlocks(readFileSync(file, 'utf8')).map(der => new X509Certificate(der))
}

function publicHalf(file: string): KeyObject {
  return createPublicKey(createPrivateKey(readFileSync(file)))
}

function sameKey(certificate: X509Certificate, key: KeyObject): boolean {
  return certificate.publicKey.equals(key)
}
