// What one second of a run looks like: the unit of the live view, the NDJSON samples, the Prometheus endpoint and the
// charts of the report. Types alone. Made by samples.ts; rendered by the files of device-sim/output/.

/** Milliseconds. Null members where nothing was recorded. Made by histogram.ts, to 0.8 %. */
export type Percentiles = {
  count: number
  min: number | null
  mean: number | null
  p50: number | null
  p90: number | null
  p95: number | null
  p99: number | null
  max: number | null
}

/** The states of a run's devices at one time. The members besides `total` add up to it. */
export type Population = {
  total: number
  /** In a session (CONNACK 0 was seen). */
  connected: number
  /** TCP, TLS or CONNECT under way. */
  connecting: number
  /** Between two attempts: backing off after a drop, a failure or a refusal. */
  waiting: number
  /** Disconnected on purpose: duty cycle, pause, or done. */
  asleep: number
  /** Not started yet. */
  idle: number
}

/**
 * Attempts that ended, by how. `attempts = admitted + refused + failed + those still under way`.
 * Refused: the broker was seen to turn the device away. Failed: anything that proves nothing (unreachable, timeout …).
 */
export type Connects = {
  attempts: number
  admitted: number
  refused: number
  failed: number
  /** Of the admitted, those whose TLS session was resumed. */
  resumed: number
  /** From the time the attempt was due, to CONNACK 0. */
  latencyMs: Percentiles
}

/**
 * How often devices were turned away, by what they saw (`connack_5`, `closed_after_handshake`, `tls_alert_…`).
 * Expected: the device had no right to enter. Unexpected: it had one, so it was wrongly refused.
 */
export type Refusals = Record<string, { expected: number; unexpected: number }>

/** Publishing as the sender sees it, and delivery as the simulated subscribers see it, for one QoS. */
export type Traffic = {
  /** Handed to the socket. */
  sent: number
  /** Of their payloads. */
  sentBytes: number
  /** PUBACK or PUBCOMP came; 0 at QoS 0, which has none. */
  acknowledged: number
  /** The broker answered with a Reason Code from 0x80 on: it did not take the message. MQTT 5. */
  refused: number
  /** Sent at QoS 1 or 2, and the session ended before the acknowledgement. */
  unacknowledged: number
  /** Due but not sent: offline, or too much in flight. */
  missed: number
  /** PUBLISH packets that simulated subscribers received, duplicates included. */
  received: number
  /** Of their payloads. */
  receivedBytes: number
  /** Numbered messages that a subscriber received again. At QoS 1 allowed by MQTT, at 0 and 2 not. */
  duplicated: number
  /** Numbered messages that arrived after one of the same sender and topic that was sent later. */
  reordered: number
  /** Numbered messages whose properties are not as they were sent, or whose user properties are out of order. MQTT 5. */
  altered: number
  /** Numbered messages that came after their expiry, or whose expiry was not counted down. MQTT 5. */
  expired: number
  /** Numbered messages that a subscriber should have received and did not. Known at the end: 0 in a sample. */
  lost: number
}

export type TrafficByQos = { qos0: Traffic; qos1: Traffic; qos2: Traffic }

/** What the run costs the machine, so that the tool's own limits are not mistaken for the broker's. */
type ToolLoad = {
  /** CPU seconds per second of the busiest worker process: 1 is a saturated core. */
  cpuBusiest: number
  /** CPU seconds per second of all worker processes together. */
  cpuTotal: number
  /** Resident memory of all worker processes. */
  rssBytes: number
  /** The delay of tasks against their due time: the scheduling error. */
  lateMs: Percentiles
}

/** Processes of `--watch-pid`, together: the broker's, where it is on this machine. */
export type Watched = {
  /** CPU seconds per second. */
  cpu: number
  rssBytes: number
}

/** Of attempts that were admitted, each part by itself. No `tls` on plain TCP. */
export type ConnectPhases = { tcp: Percentiles; tls: Percentiles; connack: Percentiles }

/** How many values are below 64 µs, from there below 128 µs, below 256 µs … */
export type Octaves = number[]

/** One second of a run. Counts are of this second alone; `population` is the moment of its end. */
export type Sample = {
  sample: 1
  /** RFC 3339 UTC. */
  at: string
  /** From the start of the run to the end of this sample. */
  elapsedSeconds: number
  /** How long this sample is: 1 but for the last one and on a machine that cannot keep up. */
  seconds: number
  /** The stage that goes on, by its name. */
  stage: string
  population: Population
  connects: Connects
  refusals: Refusals
  /** Admitted although expected to be refused, or still connected after its right had ended. Must stay 0. */
  wronglyAdmitted: number
  wronglyRefused: number
  /** Attempts that ended neither way, by what was seen: `unreachable_econnrefused`, `timeout_tls` … */
  failures: Record<string, number>
  /** Sessions that ended without the device wanting it, by cause. */
  drops: Record<string, number>
  /** Reason Codes of MQTT 5 by the packet that brought them: `connack_0x87`, `puback_0x00`, `disconnect_0x98` … */
  reasons: Record<string, number>
  traffic: TrafficByQos
  /** From the intended send time to PUBACK or PUBCOMP: coordinated omission is corrected. */
  acknowledgeMs: Percentiles
  /** From the intended send time to the simulated subscriber. */
  deliverMs: Percentiles
  connectPartsMs: ConnectPhases
  /** The latencies of the second, for the heat maps of the report. */
  octaves: { connect: Octaves; acknowledge: Octaves; deliver: Octaves }
  tool: ToolLoad
  /** Null where none is watched, or all have ended. */
  watched: Watched | null
}
