// One group of devices as a worker runs it: the plan, with the generators and properties that all its devices share.
// Does not know single devices.
import type { GroupPlan, Plan, PublishPlan } from '../scenario/plan.ts'
import { createTopic, filled } from '../scenario/topic.ts'
import { type Given, givenBy } from './message-properties.ts'
import { createGenerator, type Generator, readReplay } from './payload.ts'

export type Group = {
  index: number
  plan: GroupPlan
  publishers: Publisher[]
  /** No device publishes: the stage is a pause. */
  paused: boolean
}

export type Publisher = {
  plan: PublishPlan
  generate: Generator
  topicOf: TopicOf | null
  /** The properties of all its messages; null where they differ from device to device, or below version 5. */
  given: Given | null
}
type TopicOf = (turn: number, random: () => number) => string

/** `textOf` gives the file that payloads are lines of. @throws RunFailed where it cannot be read or has no lines. */
export function createGroups(plan: Plan, textOf: (file: string) => string = readReplay): Group[] {
  return plan.groups.map((group, index) => ({
    index,
    plan: group,
    paused: false,
    publishers: group.publish.map(one => ({
      plan: one,
      generate: createGenerator(one.payload, textOf),
      given:
        group.protocol === 5 && !JSON.stringify(one.properties).includes('$')
          ? givenBy(one.properties, group.link, text => text)
          : null,
      topicOf: /\$\{((any|each):|seq\})/.test(one.topic) ? createTopic(one.topic, idsIn(plan)) : null,
    })),
  }))
}

/** The number of a device within its group, as IDs show it. */
export function numberIn(group: GroupPlan, index: number): string {
  return String(index + group.first).padStart(5, '0')
}

export function deviceIdIn(group: GroupPlan, index: number): string {
  return filled(group.idTemplate, {
    device: '',
    n: numberIn(group, index),
    group: group.name,
    attributes: {},
  })
}

function idsIn(plan: Plan) {
  return (name: string) => {
    const group = plan.groups.find(candidate => candidate.name === name)
    return {
      count: group?.count ?? 1,
      at: (index: number) => (group ? deviceIdIn(group, index) : ''),
    }
  }
}
