// Operators at work beside a fault: each adds, enrolls and revokes without a pause, and a record keeps what was answered.
import { makeKey, makeRequest } from '../../cli/enrollment/key-pair.ts'
import type { Api } from '../e2e/api.ts'
import type { Credentials } from '../e2e/devices.ts'

export type Listed = Credentials & { id: string; fingerprint: string; serialNumber: string }

export type AnswerRecord = {
  /** Answered 201. */
  added: Set<string>
  listed: Map<string, Listed>
  /** Answered 200. */
  revoked: Set<string>
  /** Asked to be revoked, and no answer came: either is right. */
  doubtful: Set<string>
  /** Enrollments without an answer, to be asked again. */
  unanswered: { id: string; csr: string; key: string }[]
}

export function createAnswerRecord(): AnswerRecord {
  return { added: new Set(), listed: new Map(), revoked: new Set(), doubtful: new Set(), unanswered: [] }
}

const REVOKED_SHARE = 0.5

/** Works until told to stop or left without an answer. Every answer it does get must be the one that is due. */
export async function operate(
  api: Api,
  name: string,
  answers: AnswerRecord,
  random: () => number,
  signal: AbortSignal,
): Promise<void> {
  for (let number = 1; !signal.aborted; number += 1) {
    const id = `${name}-${number}`
    const key = await makeKey('p256')
    const csr = await makeRequest(id, key, 'p256')
    let revoking: string | null = null
    try {
      await expect(api.call('POST', '/v1/devices', { id }), 201)
      answers.added.add(id)
      const { body } = await expect(api.call('POST', `/v1/devices/${id}/certificates`, { csr }), 201)
      const { fingerprint, serialNumber } = body
      const certificate = [body.certificate, ...body.chain].join('')
      answers.listed.set(fingerprint, { id, fingerprint, serialNumber, certificate, key })
      if (random() >= REVOKED_SHARE) continue
      revoking = fingerprint as string
      await expect(api.call('POST', `/v1/certificates/${fingerprint}/revoke`, {}), 200)
      answers.revoked.add(revoking)
    } catch (error) {
      if (error instanceof WrongAnswer) throw error
      if (revoking === null) answers.unanswered.push({ id, csr, key })
      else answers.doubtful.add(revoking)
      return
    }
  }
}

class WrongAnswer extends Error {}

async function expect(asked: ReturnType<Api['call']>, status: number): ReturnType<Api['call']> {
  const answer = await asked
  if (answer.status !== status) throw new WrongAnswer(`${answer.status} ${JSON.stringify(answer.body)}`)
  return answer
}
