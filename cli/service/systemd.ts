// Tells systemd how `up` is doing (sd_notify(3)): ready, stopping, alive. Node has no datagram sockets of the Unix kind, so
// systemd-notify, which comes with systemd, says it. Without NOTIFY_SOCKET, or without systemd-notify, nothing happens.
import { spawn } from 'node:child_process'

type SystemdNotifier = {
  /** Both services accept; from now on it is told that this process lives, as often as it asks. */
  ready(): void
  stopping(): void
}

const PROGRAM = 'systemd-notify'
const WORD_MS = 5_000

export function createSystemdNotifier(env: NodeJS.ProcessEnv): SystemdNotifier {
  if (!env['NOTIFY_SOCKET']) return { ready() {}, stopping() {} }
  const watchdog = env['WATCHDOG_USEC'] ?? ''
  const watchdogUs = /^\d{1,15}$/.test(watchdog) ? Number(watchdog) : 0
  let alive: NodeJS.Timeout | null = null

  function say(...words: string[]): void {
    // Said by a child, which is why the unit has NotifyAccess=all.
    const child = spawn(PROGRAM, words, {
      stdio: 'ignore',
      timeout: WORD_MS,
      env: { ...env, PATH: env['PATH'] ?? '/usr/bin:/bin' },
    })
    child.on('error', () => {})
    child.unref()
  }

  return {
    ready() {
      say('READY=1', 'STATUS=devices and operators are served')
      if (!(watchdogUs > 0)) return
      // Twice in each period, so that one that comes late is none that is missed.
      alive = setInterval(() => say('WATCHDOG=1'), watchdogUs / 2_000)
      alive.unref()
    },
    stopping() {
      if (alive !== null) clearInterval(alive)
      say('STOPPING=1', 'STATUS=finishing what is half done')
    },
  }
}
