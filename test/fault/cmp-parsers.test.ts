// CMP messages damaged for a while, behind the MAC that makes them heard: whatever comes, the service answers in CMP, and nothing but a fault of the message is
// why it refuses. The same again: ROLLCALL_FAULT_SEED.
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { pemBlocks } from '../../pki/pem.ts'
import { readMacParameters } from '../../provisioning/cmp/mac-protection.ts'
import { bodyTypes, readMessage } from '../../provisioning/cmp/message-reader.ts'
import {
  readConfirmation,
  readInfoTypes,
  readPoll,
  readRevocation,
} from '../../provisioning/cmp/request-reader.ts'
import {
  deviceAskedForIn,
  namesUnlike,
  pkcs10Request,
  templateRequest,
} from '../../provisioning/cmp/requested-certificate.ts'
import { Problem } from '../../provisioning/http/problem.ts'
import { octetString, oid, sequence, tagged } from '../../provisioning/x509/der.ts'
import { createAuthority } from '../harness/authority.ts'
import * as cmp from '../provisioning/cmp/cmp-messages.ts'
import { makeCsr } from '../provisioning/harness.ts'
import { length } from './length.ts'
import { createChance, mutatedBytes, mutatedDer } from './mutations.ts'

const DURATION_MS = length(500, 10 * 60_000)
const seed = Number(process.env['ROLLCALL_FAULT_SEED'] ?? randomInt(2 ** 31))

const [pkcs10 = Buffer.alloc(0)] = pemBlocks(makeCsr('p256').csr, 'CERTIFICATE REQUEST')
const [held = Buffer.alloc(0)] = pemBlocks((await createAuthority('Device')).certificate, 'CERTIFICATE')
const oldCertificate = sequence(
  sequence(oid('1.3.6.1.5.5.7.5.1.5'), sequence(tagged(4, cmp.commonName('CA')), cmp.number(7))),
)
const reason = sequence(sequence(oid('2.5.29.21'), octetString(Buffer.of(0x0a, 1, 1))))
const details = sequence(tagged(3, cmp.commonName('CA')), tagged(5, cmp.commonName('pump-1')))
const bodies = [
  { type: bodyTypes.ir, der: sequence(cmp.certificateRequest({})) },
  { type: bodyTypes.kur, der: sequence(cmp.certificateRequest({ controls: oldCertificate })) },
  { type: bodyTypes.p10cr, der: pkcs10 },
  { type: bodyTypes.rr, der: sequence(sequence(details, reason)) },
  { type: bodyTypes.certConf, der: sequence(sequence(octetString(Buffer.alloc(32)), cmp.number(0))) },
  { type: bodyTypes.pollReq, der: sequence(sequence(cmp.number(0))) },
  { type: bodyTypes.genm, der: sequence(sequence(oid('1.3.6.1.5.5.7.4.17'))) },
]
const protectors = [cmp.pbm('reference', 'secret'), cmp.pbmac1('reference', 'secret', 1_000)]
const whole = bodies.map((body, index) =>
  cmp.message(protectors[index % 2]!, { body, recipNonce: Buffer.alloc(16, 1), implicitConfirm: true }),
)

/** Everything that the service reads of a message. */
async function read(der: Buffer): Promise<void> {
  const message = readMessage(der, () => {})
  const { header, body, bodyType } = message
  if (header.protectionAlgorithm !== null) readMacParameters(header.protectionAlgorithm)
  if (bodyType === bodyTypes.certConf) readConfirmation(body)
  if (bodyType === bodyTypes.pollReq) readPoll(body)
  if (bodyType === bodyTypes.rr) readRevocation(body)
  if (bodyType === bodyTypes.genm) readInfoTypes(body)
  if (bodyType !== bodyTypes.ir && bodyType !== bodyTypes.kur && bodyType !== bodyTypes.p10cr) return
  const request = bodyType === bodyTypes.p10cr ? await pkcs10Request(body) : templateRequest(body)
  deviceAskedForIn(request)
  namesUnlike(request, held)
  assert.equal(typeof request.reading.accepted, 'boolean')
}

test('messages of CMP: each gives what it says, or a reason', async t => {
  for (const der of whole) await read(der)
  const end = performance.now() + DURATION_MS
  let tried = 0
  let readable = 0
  for (; performance.now() < end || tried < 64; tried += 1) {
    const chance = createChance(seed + tried)
    const intact = chance.pick(whole)
    const damaged = chance.sometimes(0.7) ? mutatedDer(intact, chance) : mutatedBytes(intact, chance)
    try {
      await read(damaged)
      readable += 1
    } catch (error) {
      if (error instanceof Problem && error.message.length > 0) continue
      throw new Error(`ROLLCALL_FAULT_SEED=${seed + tried} does it at once`, { cause: error })
    }
    if (tried % 64 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  t.diagnostic(`${tried} tried from seed ${seed}, ${readable} read`)
  assert.ok(tried > readable, 'some are damaged')
})
