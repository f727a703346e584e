// Work spread over turns of the event loop.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createThrottle } from '../../../../broker/gate/limits/throttle.ts'

const turn = () => new Promise<void>(resolve => setImmediate(resolve))

test('a turn runs so many tasks at once, the next turns the others in their order', async () => {
  const throttle = createThrottle(3)
  const done: number[] = []
  for (let task = 1; task <= 8; task += 1) throttle(() => done.push(task))
  assert.deepEqual(done, [1, 2, 3])
  await turn()
  assert.deepEqual(done, [1, 2, 3, 4, 5, 6])
  await turn()
  assert.deepEqual(done, [1, 2, 3, 4, 5, 6, 7, 8])
  await turn()
  throttle(() => done.push(9))
  assert.equal(done.at(-1), 9, 'a quiet turn waits for nothing')
})

test('a task that asks for more waits its turn behind the others', async () => {
  const throttle = createThrottle(1)
  const done: string[] = []
  throttle(() => {
    done.push('first')
    throttle(() => done.push('its own'))
  })
  throttle(() => done.push('second'))
  for (let turns = 0; turns < 4; turns += 1) await turn()
  assert.deepEqual(done, ['first', 'its own', 'second'])
})

test('what waits behind a task that throws runs in the next turn', async t => {
  const throttle = createThrottle(2)
  const done: number[] = []
  // Caught as the process would catch it: Bun's test runner lets nobody else have what is thrown in a turn.
  const thrown: unknown[] = []
  const { setImmediate } = globalThis
  t.mock.method(globalThis, 'setImmediate', (work: () => void) =>
    setImmediate(() => {
      try {
        work()
      } catch (error) {
        thrown.push(error)
      }
    }),
  )
  for (const task of [1, 2])
    throttle(() => {
      done.push(task)
    })
  throttle(() => {
    throw new Error('of a task')
  })
  for (const task of [3, 4]) throttle(() => done.push(task))
  for (let turns = 0; turns < 3; turns += 1) await turn()
  assert.match(String(thrown), /^Error: of a task$/)
  assert.deepEqual(done, [1, 2, 3, 4])
})
