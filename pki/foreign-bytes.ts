// The guard around every judgement of bytes that a stranger chose. Libraries throw about such bytes in ways that they do not
// document; whatever they throw is what is wrong with the bytes, and never the end of a request, a job or a process.
import { CertificateUnreadable } from './certificate-facts.ts'
import type { CertificateProblem } from './certificate-reader.ts'

/** The faults that a judgement finds; the one that it died of where it threw. `path` names the document. */
export function problemsOrUnreadable(
  path: string,
  judgement: () => CertificateProblem[],
): CertificateProblem[] {
  try {
    return judgement()
  } catch (error) {
    return [error instanceof CertificateUnreadable ? error.problem : { path, message: 'it cannot be read' }]
  }
}

/** What a reading gives; null where it threw. */
export function readOrNull<T>(reading: () => T): T | null {
  try {
    return reading()
  } catch {
    return null
  }
}
