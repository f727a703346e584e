// Spreads work over turns of the event loop, so that live connections are served between two portions.

/** Runs at most `tasksPerTurn` tasks in one turn of the event loop; the others run in order in later turns. */
export function createThrottle(tasksPerTurn: number): (task: () => void) => void {
  let waiting: (() => void)[] = []
  let left = tasksPerTurn
  let scheduled = false

  function nextTurn(): void {
    scheduled = false
    left = tasksPerTurn
    const now = waiting.slice(0, left)
    waiting = waiting.slice(left)
    left -= now.length
    if (now.length > 0) schedule()
    try {
      for (let task = now.shift(); task !== undefined; task = now.shift()) task()
    } finally {
      if (now.length > 0) waiting = [...now, ...waiting] // one of them threw
    }
  }

  function schedule(): void {
    if (scheduled) return
    scheduled = true
    setImmediate(nextTurn)
  }

  return task => {
    schedule()
    if (left === 0 || waiting.length > 0) {
      waiting.push(task)
      return
    }
    left -= 1
    task()
  }
}
