// Ports of large fleets: none twice at a time, those of several workers apart, and each again once it is free.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createSourcePorts } from '../../../device-sim/links/source-ports.ts'

it('gives every port of the range once, and one that is free again', () => {
  assert.equal(createSourcePorts(9_999, 0), null)
  const ports = createSourcePorts(20_000, 1)!
  const given = new Set(Array.from({ length: 28_232 }, () => ports.take('127.0.0.2')))
  assert.equal(given.size, 28_232)
  assert.deepEqual(
    [Math.min(...(given as Set<number>)), Math.max(...(given as Set<number>))],
    [32_768, 60_999],
  )
  assert.equal(ports.take('127.0.0.2'), null)
  ports.free('127.0.0.2', 40_000)
  assert.equal(ports.take('127.0.0.2'), 40_000)
  assert.equal(typeof ports.take('127.0.0.3'), 'number')
})

it('keeps four workers of 7,000 devices each apart', () => {
  const given = [0, 1, 2, 3].flatMap(worker => {
    const ports = createSourcePorts(28_000, worker)!
    return Array.from({ length: 7_000 }, () => ports.take('127.0.0.2'))
  })
  assert.equal(new Set(given).size, 28_000)
})
