// What the API says where it refuses, as an error in words. Apart from api.ts, so that HTTPS is loaded where it is spoken.
import { RunFailed } from '../failure.ts'

/** The connection was broken when an answer began. */
export class AnswerLost extends Error {}

/** The parts of an RFC 9457 problem document that are worth repeating. */
export type Problem = { reason?: string; title?: string; detail?: string; hint?: string }

/** A failed call as an error that says what the server said. */
export function refusal(what: string, status: number, problem: Problem): RunFailed {
  const said = [problem.detail ?? problem.title, problem.reason && `(${problem.reason})`]
    .filter(Boolean)
    .join(' ')
  const fallback = status === 401 ? 'the token was not accepted: see --token-file' : null
  return new RunFailed(`${what}: ${status}${said ? ` ${said}` : ''}`, { hint: problem.hint ?? fallback })
}
