// One device that behaves: connects, subscribes to its commands, publishes numbered telemetry on its own beat,
// comes back after a drop with growing patience. Refuses to know how many others there are.
import type { Identity } from './identity.ts'
import { openLink } from './links/mqttjs.ts'
import { isRefusal, nameOf } from './links/seen.ts'
import type { Attempt, Session } from './links/session.ts'
import { count, type Measurements } from './measurements.ts'
import { backOffMs, jittered, type Schedule, type Task } from './pace.ts'
import type { Broker } from './target.ts'

export type DeviceBehaviour = {
  intervalMs: number
  /** Share of the interval by which each message is moved, either way. */
  jitter: number
  qos: 0 | 1 | 2
  connectTimeoutMs: number
}

export type DeviceSurroundings = {
  broker: Broker
  schedule: Schedule
  measurements: Measurements
  behaviour: DeviceBehaviour
  random: () => number
}

/** What can be said of a device when the run is over. */
export type DeviceFate = 'not_started' | 'connecting' | 'connected' | 'dropped' | 'refused' | 'unreachable'

export type Device = {
  id: string
  start(dueAt: number): void
  fate(): DeviceFate
  /** Ends telemetry and reconnecting; the session stays, so that acknowledgements can still arrive. */
  quiet(): void
  /** Counts what is still unacknowledged as lost and says goodbye. */
  stop(): Promise<void>
}

const IN_FLIGHT_MAX = 64
const BUFFERED_BYTES_MAX = 262_144

export function createDevice(identity: Identity, surroundings: DeviceSurroundings): Device {
  const { broker, schedule, measurements, behaviour, random } = surroundings
  const id = identity.deviceId
  const topic = `devices/${id}/telemetry`
  let attempt: Attempt | null = null
  let session: Session | null = null
  let sequence = 0
  let inFlight = 0
  let failures = 0
  let refusedLast = false
  let everAdmitted = false
  let started = false
  let quiet = false
  let reconnectTask: Task | null = null
  let publishTask: Task | null = null

  function connect(dueAt: number): void {
    measurements.attempts++
    attempt = openLink({
      broker,
      clientId: id,
      credentials: identity,
      timeoutMs: behaviour.connectTimeoutMs,
    })
    attempt.settled.then(result => {
      attempt = null
      count(measurements.outcomes, nameOf(result.seen))
      if (result.session) welcome(result.session, dueAt)
      else {
        refusedLast = isRefusal(result.seen)
        if (!quiet) comeBackLater()
      }
    })
  }

  function comeBackLater(): void {
    const dueAt = schedule.now() + backOffMs(failures++, { random })
    reconnectTask = schedule.at(dueAt, connect)
  }

  function welcome(admitted: Session, dueAt: number): void {
    session = admitted
    failures = 0
    refusedLast = false
    measurements.connectedNow++
    measurements.connectLatency.record(schedule.now() - dueAt)
    if (everAdmitted) measurements.readmitted++
    else {
      measurements.admitted++
      everAdmitted = true
      // The first message falls anywhere within the first interval: a fleet that starts together spreads out.
      publishTask = schedule.at(schedule.now() + behaviour.intervalMs * random(), publish)
    }
    admitted.onClose(cause => farewell(admitted, cause))
    admitted.onMessage(() => {
      measurements.commandsReceived++
    })
    admitted.subscribe(`devices/${id}/commands/#`, 1, granted => {
      if (granted) measurements.subscribed++
      else measurements.subscribeRefused++
    })
  }

  function farewell(ended: Session, cause: string): void {
    if (session !== ended) return
    session = null
    measurements.connectedNow--
    count(measurements.dropped, cause)
    loseWhatIsInFlight()
    if (!quiet) comeBackLater()
  }

  function loseWhatIsInFlight(): void {
    measurements.lost += inFlight
    measurements.inFlight -= inFlight
    inFlight = 0
  }

  function publish(dueAt: number): void {
    // The next beat follows from when this one was due, never from when it happened: lateness must not hide.
    const nextDueAt = dueAt + jittered(behaviour.intervalMs, behaviour.jitter, random)
    publishTask = schedule.at(nextDueAt, publish)
    const open = session
    if (!open || inFlight >= IN_FLIGHT_MAX || open.bufferedBytes() > BUFFERED_BYTES_MAX) {
      measurements.missed++
      return
    }
    sequence++
    measurements.published++
    measurements.sendLag.record(schedule.now() - dueAt)
    if (behaviour.qos === 0) {
      open.publish({ topic, payload: telemetry(), qos: 0 }, () => {})
      return
    }
    inFlight++
    measurements.inFlight++
    open.publish({ topic, payload: telemetry(), qos: behaviour.qos }, () => {
      if (session !== open) return
      inFlight--
      measurements.inFlight--
      measurements.acknowledged++
      measurements.publishLatency.record(schedule.now() - dueAt)
    })
  }

  function telemetry(): string {
    const temperature = Math.round((21 + 4 * Math.sin(sequence / 20) + random()) * 100) / 100
    return JSON.stringify({ device: id, sequence, sentAt: new Date().toISOString(), temperature })
  }

  return {
    id,
    start(dueAt) {
      if (started || quiet) return
      started = true
      connect(dueAt)
    },
    fate() {
      if (!started) return 'not_started'
      if (session) return 'connected'
      if (refusedLast) return 'refused'
      if (everAdmitted) return 'dropped'
      return failures === 0 ? 'connecting' : 'unreachable'
    },
    quiet() {
      quiet = true
      reconnectTask?.cancel()
      publishTask?.cancel()
      attempt?.cancel()
    },
    async stop() {
      const leaving = session
      session = null
      loseWhatIsInFlight()
      if (!leaving) return
      measurements.connectedNow--
      await leaving.end()
    },
  }
}
