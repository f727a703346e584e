// A receipt in words: what was cut, and which brokers have not said so yet.
import type { AdmittingCertificate, Receipt } from '../../client/types.ts'
import { printable } from '../errors.ts'

/** Says on stderr how far a change has come. An unreachable broker acts on it when it is back, and that is said. */
export function printReceipt(
  done: string,
  receipt: Receipt,
  stderr: { write(text: string): unknown } = process.stderr,
): void {
  const { sessionsCut, nodesTotal, nodesAcknowledged, unreachable } = receipt
  const cut = `${sessionsCut} ${sessionsCut === 1 ? 'session' : 'sessions'} cut`
  stderr.write(
    nodesTotal === 0
      ? `${done}; no broker runs: whichever starts next knows\n`
      : `${done}; ${cut}, ${nodesAcknowledged} of ${nodesTotal} brokers acknowledged\n`,
  )
  if (unreachable.length > 0 && typeof receipt.noSessionAfter === 'string') {
    stderr.write(
      `warning: not acknowledged by ${unreachable.map(printable).join(', ')}: a session there may live until ${printable(receipt.noSessionAfter)}, none after it\n`,
    )
  } else if (unreachable.length > 0) {
    stderr.write(
      `warning: not acknowledged by ${unreachable.map(printable).join(', ')}: what is connected there may still be; ` +
        'such a broker acts on it as soon as it can read the registry, and admits nobody while it cannot\n',
    )
  }
}

/** Names what admits a device although one of its certificates was taken from it. */
export function printAdmittingCertificates(
  certificates: readonly AdmittingCertificate[],
  stderr: { write(text: string): unknown } = process.stderr,
): void {
  for (const { deviceId, fingerprint, status } of certificates) {
    stderr.write(`note: ${printable(deviceId)} is still admitted by ${fingerprint} (${printable(status)})\n`)
  }
}
