// What a run found out, as one JSON object: `rollcall sim run -o json`, `sim compare`, and the tables of the report.
// Types alone. Made by device-sim/run/outcome.ts; rendered by the files of device-sim/output/.
import type { ConnectPhases, Connects, Percentiles, Population, Refusals, TrafficByQos } from './sample.ts'

/** Known when the run starts; also the head of the live view and of the report. */
export type RunFacts = {
  name: string
  description: string
  /** The file, or `preset:NAME`, or `flags`. */
  source: string
  /** The same seed replays the same run. */
  seed: number
  /** Short random text in every numbered message, so that an earlier run's messages are not counted. */
  runId: string
  startedAt: string
  broker: string
  workers: number
  /** The machines that the workers are on; none where all is on one. */
  agents: AgentFacts[]
  /** Local addresses that devices connect from; empty for whatever the system chooses. */
  sources: string[]
  groups: GroupFacts[]
  stages: StageFacts[]
  /** `runtime` is that of the workers here, such as `bun 1.4.5`; files of earlier versions have none. */
  tool: {
    version: string
    node: string
    runtime?: string
    platform: string
    cpus: number
    memoryBytes: number
  }
}

/** `clockErrorMs`: the most by which its clock, corrected, was wrong. Latencies between machines hold that error. */
export type AgentFacts = {
  name: string
  workers: number
  cpus: number
  node: string
  runtime?: string
  clockErrorMs: number
}

type GroupFacts = {
  name: string
  count: number
  link: 'lean' | 'mqttjs'
  /** Of MQTT: 3 is 3.1, 4 is 3.1.1. */
  protocol: 3 | 4 | 5
  keyType: string
  /** Null for honest devices. */
  fault: string | null
  expect: Expectation
}

/** The expected result of a device's connection. `either`: the fault leaves it to the broker. */
export type Expectation = 'admitted' | 'refused' | 'either'

/** `endsAtSeconds` is null where the stage lasts until all have been started. */
type StageFacts = { name: string; kind: string; beginsAtSeconds: number; endsAtSeconds: number | null }

/** Something worth a mark on the time axis and a line in the view. */
export type RunEvent = {
  elapsedSeconds: number
  kind: 'stage' | 'action' | 'assert' | 'broker_lost' | 'broker_back' | 'limit' | 'note'
  /** One line for people. */
  text: string
  /** False where something failed. A `limit` is good where it only makes measurements doubtful. */
  good: boolean
}

type GroupResult = GroupFacts & {
  population: Population
  connects: Connects
  refusals: Refusals
  wronglyAdmitted: number
  wronglyRefused: number
  /** Attempts of devices that should be refused which proved nothing (broker unreachable, timeout). */
  unproven: number
}

/** A device that was let in, or kept in, although it had no right. The first 100 are named. */
export type WronglyAdmitted = {
  device: string
  group: string
  /** `admitted`: CONNACK 0 came. `kept`: its session outlived the end of its right by more than the grace. */
  how: 'admitted' | 'kept'
  /** The fault, or the action that ended its right. */
  why: string
  elapsedSeconds: number
}

/** What an operator action on the timeline did. */
export type ActionResult = {
  elapsedSeconds: number
  /** `revoke`, `suspend` … */
  verb: string
  group: string
  devices: number
  failed: number
  /** From the answer of the operator's interface to the closed socket, for sessions that were cut. */
  cutMs: Percentiles
  /** Sessions that were still open when the grace was over. */
  kept: number
}

/** `expression` as it was written, such as `acknowledge.p99 < 500ms`. */
export type CheckResult = {
  kind: 'assert' | 'threshold'
  expression: string
  /** In the unit of the metric (latencies ms, shares 0 to 1); null where nothing was measured. */
  observed: number | null
  passed: boolean
  /** Where an assertion was made; null at the end of the run. */
  elapsedSeconds: number | null
}

/** A limit of the simulator or of its machine that was reached or came near. Numbers measured then are doubtful. */
export type ToolLimit = {
  limit: 'cpu' | 'late' | 'descriptors' | 'ports' | 'memory' | 'ledger' | 'worker'
  text: string
  /** Seconds in which it was seen. */
  seconds: number
}

/** Certificates obtained before the run. */
export type EnrollmentResult = {
  reused: number
  enrolled: number
  seconds: number
  apiRetries: number
  /** Enrollments whose answer was discarded and requested again, and those of them that got the same certificate. */
  answersLost: number
  answersRecovered: number
  /** What proved the keys, where TPMs did. */
  tpms?: string
  /** Why identities of an earlier run were not used again. */
  causes: Record<'missing' | 'expiring' | 'other_key_type' | 'not_on_roll', number>
}

export type Summary = {
  summary: 'rollcall-sim-run'
  version: 1
  run: RunFacts
  endedAt: string
  seconds: number
  /** Ctrl-C, or SIGTERM. */
  interrupted: boolean
  enrollment: EnrollmentResult | null
  population: Population
  connects: Connects
  refusals: Refusals
  wronglyAdmitted: { count: number; first: WronglyAdmitted[] }
  wronglyRefused: { count: number; first: { device: string; group: string; saw: string }[] }
  /** Attempts that ended neither way, by what was seen: `unreachable_econnrefused`, `timeout_tls` … */
  failures: Record<string, number>
  drops: Record<string, number>
  /** Reason Codes of MQTT 5 by the packet that brought them: `connack_0x87`, `puback_0x00`, `disconnect_0x98` … */
  reasons: Record<string, number>
  subscriptions: { granted: number; refused: number }
  traffic: TrafficByQos
  connectPartsMs: ConnectPhases
  acknowledgeMs: Percentiles
  deliverMs: Percentiles
  /** From a received command to its answer, for devices that answer. */
  answered: number
  groups: GroupResult[]
  actions: ActionResult[]
  checks: CheckResult[]
  events: RunEvent[]
  limits: ToolLimit[]
  tool: {
    cpuSeconds: number
    /** CPU of the workers per message sent or received, connecting included. */
    cpuMicrosPerMessage: number | null
    rssMaxBytes: number
    lateMs: Percentiles
  }
  /** Processes of `--watch-pid`; null where none was watched. */
  watched: {
    pids: number[]
    cpuSeconds: number
    cpuMicrosPerMessage: number | null
    rssMaxBytes: number
  } | null
  verdict: {
    passed: boolean
    /** 0 passed, 1 could not be carried out or proven, 99 a threshold was breached or a device wrongly admitted. */
    exitCode: 0 | 1 | 99
    /** One line for each reason not to pass. */
    breaches: string[]
  }
}

/** The same run several times: what `--json` writes with `--repeat`. */
export type Repeats = { summary: 'rollcall-sim-repeats'; version: 1; runs: Summary[] }
