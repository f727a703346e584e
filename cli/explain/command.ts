// `rollcall explain …`: would it be admitted now, and if not, why and what to do.
import { styleText } from 'node:util'
import { Command } from 'commander'
import type { Check, Denial, Explanation } from '../../client/types.ts'
import { keyName } from '../../pki/key-policy.ts'
import { subjectOf } from '../certificate/argument.ts'
import { printable } from '../errors.ts'
import { type Format, printDocument } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

export function explainCommand(): Command {
  return withServiceOptions(new Command('explain'))
    .description(
      'Tells whether a device or certificate would be admitted now, check by check, and lists recent refusals.',
    )
    .argument('<subject>', 'device ID, SHA-256 fingerprint in hex, or a file with a certificate')
    .action(async (named: string, flags: ServiceFlags & { output: Format }) => {
      const subject = await subjectOf(named)
      if (subject.kind === 'certificate')
        for (const line of subject.besides) process.stderr.write(`${printable(line)}\n`)
      const explanation = await withService(flags, client => {
        if (subject.kind === 'device') return client.devices.admission(subject.deviceId)
        if (subject.kind === 'certificate') return client.admission(subject.pem)
        return client.certificates.admission(subject.fingerprint)
      })
      if (flags.output === 'table') process.stdout.write(formatExplanation(explanation))
      else await printDocument(explanation, flags.output)
    })
}

/** An explanation for a person: the verdict, every check in order, what to do, the last refusals. */
export function formatExplanation(explanation: Explanation): string {
  const { subject, wouldBeAdmitted, reason, message, hint, refusals } = explanation
  const verdict = wouldBeAdmitted ? 'would be admitted' : `would be refused: ${reason ?? 'unknown'}`
  const lines = [`${subject.kind} ${subject.id} ${verdict}`, message, '', ...checkLines(explanation.checks)]
  if (explanation.attestation) lines.push('', attestationLine(explanation.attestation))
  // The checks above are those of the certificate that decides; the others need no more than a line each.
  const certificates = explanation.certificates ?? []
  if (certificates.length > 0) lines.push('', 'Certificates:', ...certificates.map(certificateLine))
  if (explanation.answer !== null) lines.push('', `Its client is told: ${answerText(explanation.answer)}`)
  if (hint && !wouldBeAdmitted) lines.push('', `What to do: ${hint}`)
  const denials = explanation.denials ?? []
  if (denials.length > 0) lines.push('', 'Denied lately:', ...denials.map(denialLine))
  if (refusals.length > 0) lines.push('', 'Refused lately:', ...refusals.map(refusalLine))
  return `${lines.map(line => coloured(oneLine(line))).join('\n')}\n`
}

const marks = { passed: '✓', failed: '✗', skipped: '–' } as const

function checkLines(checks: readonly Check[]): string[] {
  const width = Math.max(0, ...checks.map(check => check.name.length))
  return checks.map(check => {
    const why = check.outcome === 'failed' ? `${check.reason ?? 'failed'}: ` : ''
    const seen = check.outcome === 'skipped' ? 'not asked any more' : why + inputsLine(check.inputs)
    return `${marks[check.outcome]} ${check.name.padEnd(width)}  ${seen}`.trimEnd()
  })
}

function attestationLine(proof: NonNullable<Explanation['attestation']>): string {
  const tpm = [proof.maker, proof.model, proof.version].filter(text => text !== null).join(' ')
  const says = proof.attested ? 'attested' : 'proven, but not attested'
  const by =
    proof.vouchedBy === null ? 'its endorsement key is off the record' : `vouched for by ${proof.vouchedBy}`
  const key = `endorsement key ${proof.endorsementKey.slice(0, 16)}…`
  return `TPM${tpm && ` ${tpm}`}: ${says} at ${proof.provenAt}, ${by}, ${key}, key ${proof.keyAttributes.join(' ')}`
}

function certificateLine({
  fingerprint,
  wouldBeAdmitted,
  reason,
}: NonNullable<Explanation['certificates']>[number]): string {
  return wouldBeAdmitted ? `  ✓ ${fingerprint}` : `  ✗ ${fingerprint} ${reason ?? 'refused'}`
}

function inputsLine(inputs: Record<string, unknown>): string {
  return Object.entries(inputs)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(
      ([key, value]) => `${key} ${typeof value === 'string' ? inputText(key, value) : JSON.stringify(value)}`,
    )
    .join(', ')
}

/** A key type as standards name it, any other text as it is. */
function inputText(key: string, value: string): string {
  return key === 'keyType' ? keyName(value) : value
}

function answerText({ mqtt5, mqtt311 }: NonNullable<Explanation['answer']>): string {
  if (mqtt5 === null && mqtt311 === null) return 'nothing, the connection is closed'
  const older = mqtt311 === null ? 'nothing' : `CONNACK ${mqtt311}`
  return `${mqtt5 ?? 'nothing'} by MQTT 5, ${older} by MQTT 3.1.1`
}

function refusalLine({
  at,
  reason,
  address,
  fingerprint,
  count,
  mqtt5,
}: Explanation['refusals'][number]): string {
  const certificate = fingerprint ? `, certificate ${fingerprint.slice(0, 16)}…` : ''
  const from = address ? ` from ${address}` : ''
  return `  ${at} ${reason}${mqtt5 === null ? '' : ` (${mqtt5} by MQTT 5)`}${from}${certificate}${count > 1 ? `, ${count} times` : ''}`
}

function denialLine({ at, action, topic, qos, retain, verdict, decidedBy, count }: Denial): string {
  const how = action === 'subscribe' ? '' : ` at QoS ${qos}${retain ? ', retained' : ''}`
  const by =
    decidedBy === null
      ? (verdict ?? 'unknown why')
      : `${verdict} by policy ${decidedBy.policy}, statement ${decidedBy.statement + 1}: ${decidedBy.topic}`
  return `  ${at} ${action} ${topic}${how}: ${by}${count > 1 ? `, ${count} times` : ''}`
}

/** A certificate may call itself anything: it gets no line of its own. */
function oneLine(text: string): string {
  return printable(text).replaceAll('\n', '\u{fffd}')
}

function coloured(line: string): string {
  const mark = line.trimStart()[0]
  if (mark === marks.passed) return line.replace(marks.passed, styleText('green', marks.passed))
  if (mark === marks.failed) return line.replace(marks.failed, styleText('red', marks.failed))
  return line
}
