// How the soak tells what grows from what comes and goes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readSample, type Sample, trendsOf } from '../../bench/soak/samples.ts'

const MIB = 1_048_576

function samples(of: (second: number) => { resident: number; heap: number; descriptors: number }): Sample[] {
  return Array.from({ length: 600 }, (_, second) => ({
    second,
    processes: { broker: { ...of(second), lag: 0 } },
    stores: {},
  }))
}

function grown(all: Sample[]): string[] {
  return trendsOf(all, 240)
    .filter(({ flat }) => !flat)
    .map(({ what }) => what)
}

test('memory that is collected now and then is flat, however it ends', () => {
  for (const phase of [0, 40, 80, 120]) {
    const tooth = (second: number) => ((second + phase) % 130) / 130
    const flat = samples(second => ({
      resident: (150 + 100 * tooth(second)) * MIB,
      heap: (40 + 60 * tooth(second * 4)) * MIB,
      descriptors: 40 + Math.round(3 * tooth(second * 7)),
    }))
    assert.deepEqual(grown(flat), [])
  }
})

test('what is never given back is found, beside all that comes and goes', () => {
  const tooth = (second: number) => (second % 50) / 50
  const leaking = samples(second => ({
    resident: (200 + second / 4 + 30 * tooth(second)) * MIB,
    heap: (40 + second / 20 + 20 * tooth(second)) * MIB,
    descriptors: 40 + Math.floor(second / 30),
  }))
  assert.deepEqual(grown(leaking), ['resident', 'heap', 'descriptors'])
})

test('a sample is what each process says of itself', () => {
  const exposition = [
    'rollcall_process_resident_bytes{process="broker"} 1000',
    'rollcall_process_heap_used_bytes{process="broker"} 500',
    'rollcall_process_open_descriptors{process="gate-1"} 30',
    'rollcall_event_loop_lag_seconds{process="gate-1",quantile="0.5"} 9',
    'rollcall_event_loop_lag_seconds{process="gate-1",quantile="1"} 0.25',
  ].join('\n')
  assert.deepEqual(readSample(7, exposition, '/nowhere').processes, {
    broker: { resident: 1_000, heap: 500, descriptors: 0, lag: 0 },
    'gate-1': { resident: 0, heap: 0, descriptors: 30, lag: 250 },
  })
})
