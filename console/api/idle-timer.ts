// Detects an idle operator: half an hour without a key, a click or a turn of the wheel.

const IDLE_MS = 30 * 60_000
const LOOK_MS = 15_000
const signs = ['pointerdown', 'keydown', 'wheel', 'touchstart'] as const

/** Tells once; gives a function that stops the watching. */
export function onIdle(idle: () => void): () => void {
  let seen = Date.now()
  const note = () => {
    seen = Date.now()
  }
  for (const sign of signs) document.addEventListener(sign, note, { passive: true, capture: true })
  const timer = setInterval(() => {
    // By the clock, not by counting: a machine that slept was idle, too.
    if (Date.now() - seen < IDLE_MS) return
    stop()
    idle()
  }, LOOK_MS)
  function stop(): void {
    clearInterval(timer)
    for (const sign of signs) document.removeEventListener(sign, note, { capture: true })
  }
  return stop
}
