// Answers OCSP requests: reads how a certificate stands on every one, and signs only what it has not signed already.
// So an answer is never older than the record: a response kept from before a revocation is not given after it.
import { createHash } from 'node:crypto'
import type { RevocationReader } from '../../db/issuers/revocation-reader.ts'
import type { IssuingCa } from '../ca/issuing-ca.ts'
import { certIdHashes, keyHashOf, nameHashOf } from './issuer-hashes.ts'
import { type CertIdentifier, type OcspQuestion, readOcspRequest } from './ocsp-request.ts'
import { type Responder, signOcspResponse, unsigned, type Verdict } from './ocsp-response.ts'
import type { Responders } from './responder.ts'
import { revocationStatusOf } from './revocation-status.ts'

/** `cache` is there where caches may keep it. */
export type OcspAnswer = {
  der: Buffer
  outcome: 'good' | 'revoked' | 'unknown' | 'several' | keyof typeof unsigned
  cache?: { tag: string; thisUpdate: number; nextUpdate: number }
}
export type OcspService = { answer(request: Buffer): Promise<OcspAnswer> }

type OcspServiceOptions = {
  cas: () => readonly IssuingCa[]
  responders: Pick<Responders, 'of'>
  reader: Pick<RevocationReader, 'status' | 'signed'>
  /** How long an answer holds. */
  lifetimeMs: number
  now: () => number
  /** Signatures a second: strangers that ask for new ones must leave time for operators. */
  signaturesPerSecondMax?: number
}

type Kept = { der: Buffer; verdict: string; responder: Responder; tag: string } & Times
type Times = { producedAt: number; thisUpdate: number; nextUpdate: number }

const KEPT_MAX = 20_000
const QUESTIONS_MAX = 20_000
const QUESTION_BYTES_MAX = 256
const SIGNATURES_PER_SECOND_MAX = 400
/** A verifier with a late clock must not take an answer for one of tomorrow. */
const BACKDATE_MS = 60_000

export function createOcspService(parts: OcspServiceOptions): OcspService {
  const { responders, reader, lifetimeMs, now } = parts
  const issuerOf = createIssuerIndex(parts.cas)
  const kept = createBoundedMap<Kept>(KEPT_MAX)
  /** Requests as they came, without a nonce: clients ask the same again and again, and parsing costs more than answering. */
  const questions = createBoundedMap<OcspQuestion>(QUESTIONS_MAX)
  /** What is asked again while it is signed is signed once; bounded by the signatures of a second. */
  const signing = new Map<string, { verdict: string; answer: Promise<OcspAnswer> }>()
  const maySign = createBudget(parts.signaturesPerSecondMax ?? SIGNATURES_PER_SECOND_MAX)

  function questionOf(request: Buffer): OcspQuestion | null {
    const name = request.toString('latin1')
    const known = questions.get(name)
    if (known !== undefined) return known
    const question = readOcspRequest(request)
    const plain = question?.nonce === null && question.certificates.length === 1
    if (plain && request.length <= QUESTION_BYTES_MAX) questions.set(name, question)
    return question
  }

  function verdictOf(issuerId: string, { serialNumber }: CertIdentifier): Verdict {
    const row = reader.status(issuerId, serialNumber)
    if (row !== null) return revocationStatusOf(row)
    return reader.signed(issuerId, serialNumber) ? { good: true } : 'unknown'
  }

  function timesNow(): Times {
    const producedAt = now()
    const thisUpdate = producedAt - BACKDATE_MS
    return { producedAt, thisUpdate, nextUpdate: thisUpdate + lifetimeMs }
  }

  async function answerOne(
    issuerId: string,
    responder: Responder,
    identifier: CertIdentifier,
  ): Promise<OcspAnswer> {
    const verdict = verdictOf(issuerId, identifier)
    const name = `${issuerId}.${identifier.hash}.${identifier.serialNumber}`
    const same = JSON.stringify(verdict)
    const found = kept.get(name)
    if (found?.verdict === same && found.responder === responder && isFresh(found, now())) {
      return { der: found.der, outcome: outcomeOf(verdict), cache: found }
    }
    const running = signing.get(name)
    if (running?.verdict === same) return running.answer
    if (!maySign(verdict === 'unknown')) return { der: unsigned.tryLater, outcome: 'tryLater' }
    const answer = signOne(name, responder, { identifier, verdict }).finally(() => signing.delete(name))
    signing.set(name, { verdict: same, answer })
    return answer
  }

  async function signOne(
    name: string,
    responder: Responder,
    { identifier, verdict }: { identifier: CertIdentifier; verdict: Verdict },
  ): Promise<OcspAnswer> {
    const times = timesNow()
    const der = await signOcspResponse(responder, [{ identifier, verdict }], times, null)
    // Anybody can make up serial numbers: they must not push out what is asked for in earnest.
    if (verdict === 'unknown') return { der, outcome: 'unknown' }
    const made = {
      der,
      verdict: JSON.stringify(verdict),
      responder,
      tag: createHash('sha256').update(der).digest('hex'),
      ...times,
    }
    kept.set(name, made)
    return { der, outcome: outcomeOf(verdict), cache: made }
  }

  return {
    async answer(request) {
      const question = questionOf(request)
      if (question === null) return { der: unsigned.malformedRequest, outcome: 'malformedRequest' }
      const { certificates, nonce } = question
      const issuerId = certificates.map(issuerOf).find(id => id !== null) ?? null
      const responder = issuerId === null ? null : responders.of(issuerId)
      // RFC 5019 §2.2.3: about certificates of others nothing is said.
      if (issuerId === null || responder === null)
        return { der: unsigned.unauthorized, outcome: 'unauthorized' }
      const [first] = certificates
      const single = first !== undefined && certificates.length === 1 ? first : null
      if (single !== null && nonce === null) return answerOne(issuerId, responder, single)
      if (!maySign(true)) {
        // An answer without the nonce is still a true one (RFC 6960 §4.4.1); a client that insists on it asks again.
        return single === null
          ? { der: unsigned.tryLater, outcome: 'tryLater' }
          : answerOne(issuerId, responder, single)
      }
      const answers = certificates.map(identifier => ({
        identifier,
        verdict: issuerOf(identifier) === issuerId ? verdictOf(issuerId, identifier) : ('unknown' as const),
      }))
      const der = await signOcspResponse(responder, answers, timesNow(), nonce)
      return { der, outcome: single === null ? 'several' : outcomeOf(answers[0]?.verdict ?? 'unknown') }
    },
  }
}

function outcomeOf(verdict: Verdict): 'good' | 'revoked' | 'unknown' {
  if (verdict === 'unknown') return verdict
  return verdict.good ? 'good' : 'revoked'
}

/** Until half of it is over, so that nobody gets an answer that is about to end. */
function isFresh({ thisUpdate, nextUpdate }: Times, now: number): boolean {
  return now >= thisUpdate && now < thisUpdate + (nextUpdate - thisUpdate) / 2
}

/** The issuing CA that a CertID is about, by its ID. */
function createIssuerIndex(cas: () => readonly IssuingCa[]): (identifier: CertIdentifier) => string | null {
  const known = new Map<string, string>()
  const seen = new Set<string>()
  return ({ hash, issuerNameHash, issuerKeyHash }) => {
    for (const { id, certificate } of cas()) {
      if (seen.has(id)) continue
      seen.add(id)
      for (const [oid, name] of Object.entries(certIdHashes)) {
        known.set(`${oid}.${nameHashOf(certificate, name)}.${keyHashOf(certificate, name)}`, id)
      }
    }
    return known.get(`${hash}.${issuerNameHash}.${issuerKeyHash}`) ?? null
  }
}

/** The oldest goes first. */
function createBoundedMap<Value>(max: number) {
  const map = new Map<string, Value>()
  return {
    get: (name: string) => map.get(name),
    set(name: string, value: Value) {
      map.delete(name)
      if (map.size >= max) for (const oldest of map.keys()) if (map.delete(oldest)) break
      map.set(name, value)
    },
  }
}

/**
 * So many a second, counted by the second; the real clock, since it is about this machine. Half is left to what can be kept: of
 * serial numbers and nonces anybody can make up as many as there are signatures.
 */
function createBudget(perSecond: number): (isMadeUp: boolean) => boolean {
  let second = 0
  let used = 0
  let madeUp = 0
  return isMadeUp => {
    const current = Math.floor(performance.now() / 1000)
    if (current !== second) [second, used, madeUp] = [current, 0, 0]
    if (used >= perSecond || (isMadeUp && madeUp >= Math.ceil(perSecond / 2))) return false
    used += 1
    if (isMadeUp) madeUp += 1
    return true
  }
}
