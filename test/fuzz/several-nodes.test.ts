// Random lives of clients at three nodes that are killed, over a bus and a database that go away: beside a small model of what was answered.
// ROLLCALL_NODES_FUZZ_STEPS plays longer, ROLLCALL_FUZZ_SEED takes the same steps again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createNodes } from '../broker/cluster/nodes.ts'
import { playNodes } from './nodes-play.ts'

const LONG = process.env['ROLLCALL_NODES_FUZZ_STEPS']
const STEPS = Number(LONG ?? 100)
const SEED = Number(process.env['ROLLCALL_FUZZ_SEED'] ?? (LONG === undefined ? 5 : Date.now() % 2 ** 31))

test(`three nodes and a model agree over ${STEPS} random steps`, async t => {
  t.diagnostic(`ROLLCALL_FUZZ_SEED=${SEED}`)
  await using nodes = await createNodes({ durable: true })
  const { counts, wrong, logs } = await playNodes(nodes, SEED, STEPS)
  t.diagnostic(JSON.stringify(counts))
  if (wrong.length > 0) for (const line of logs()) t.diagnostic(line)
  assert.deepEqual(wrong, [])
})
