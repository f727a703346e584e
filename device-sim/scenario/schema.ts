// The shape of a scenario file, with a sentence for everything an editor may complete. What belongs together by
// meaning (names that must exist, expressions) is checked in plan.ts. Does not know how a run is carried out.
import Type, { type Static, type TSchema } from 'typebox'
import { keyTypes } from '../enrollment/signing-keys.ts'
import { faultKinds } from '../faults.ts'
import { linkKinds } from '../links/session.ts'
import { Payload } from './payload-schema.ts'
import { answerOptions, presenceOptions } from './presence-schema.ts'
import { Properties, ProtocolName, sessionOptions, subscriptionOptions } from './v5-schema.ts'

const closed = { additionalProperties: false }

/** `expected` is what `sim check` says where the text does not fit. */
export function text(pattern: string, description: string, expected: string): ReturnType<typeof Type.String> {
  return Type.String({ pattern, description, expected })
}

export const time = (description: string) =>
  text('^\\d+(\\.\\d+)?(ms|s|m|h)$', description, 'a time such as 500ms, 5s, 2m or 1h')
const share = (description: string) => text('^\\d+(\\.\\d+)?%$', description, 'a share such as 5%')
const name = (description: string) =>
  text('^[A-Za-z0-9._-]{1,40}$', description, '1 to 40 of A-Z a-z 0-9 . _ -')
const optional = <T extends TSchema>(schema: T) => Type.Optional(schema)
const qos = (description: string) =>
  Type.Integer({ minimum: 0, maximum: 2, description: `${description}: 0, 1 or 2` })
const groupNames = (description: string) =>
  Type.Array(name('of a group'), { minItems: 1, maxItems: 50, description })

const Target = Type.Object(
  {
    broker: optional(
      Type.String({ description: 'mqtts://, mqtt://, wss:// or ws://HOST:PORT; --broker or --data win' }),
    ),
    username: optional(Type.String({ description: 'of every device; may hold variables, as topics do' })),
    passwordFile: optional(
      Type.String({ description: 'file that holds the password; it may hold variables' }),
    ),
    certificate: optional(Type.String({ description: 'file with key and certificate for all devices' })),
    ca: optional(Type.String({ description: 'file of the root that broker and API are trusted by' })),
    api: optional(Type.String({ description: 'https://HOST:PORT of a provisioning service' })),
    tokenFile: optional(Type.String({ description: 'file that holds its API token' })),
    identities: optional(
      Type.Enum(['api', 'est', 'tpm', 'directory', 'none'], {
        description:
          'where certificates come from: the API, EST with tokens of the API, the API for keys that TPMs prove (models in software), files; none has none',
      }),
    ),
    est: optional(
      Type.Object(
        {
          url: Type.String({ description: 'https://HOST:PORT, or up to its label: …/.well-known/est/LABEL' }),
          users: optional(
            Type.String({
              description: 'file of USER:PASSWORD: one line for all, or one for each device ID',
            }),
          ),
          bootstrap: optional(
            Type.String({ description: 'file with key and certificate to prove oneself by' }),
          ),
        },
        { ...closed, description: 'an EST server that is not ours' },
      ),
    ),
    directory: optional(
      Type.String({ description: 'of identities: ID.pem (key and chain), or ID.key and ID.crt' }),
    ),
    keys: optional(Type.String({ description: 'where enrolled identities are kept between runs' })),
  },
  { ...closed, description: 'Where the run goes. Paths count from the directory of the scenario.' },
)

const Publish = Type.Object(
  {
    topic: Type.String({
      minLength: 1,
      description: `may hold \${device} \${n} \${group} \${attr.NAME} \${any:GROUP} \${each:GROUP}`,
    }),
    every: optional(time('between two messages of a device')),
    on: optional(
      Type.Enum(['connect', 'disconnect'], {
        description: 'instead of every: once in each session, at its beginning or before its end',
      }),
    ),
    messages: optional(
      Type.Integer({ minimum: 1, description: 'of the whole group; then no more are sent' }),
    ),
    jitter: optional(share('of the interval by which each message is moved, either way (10%)')),
    qos: optional(qos('of the messages')),
    retain: optional(Type.Boolean({ description: 'retained messages' })),
    payload: optional(Payload),
    numbered: optional(
      Type.Boolean({
        description: 'carries the number that loss is counted by (true); false leaves it as it is',
      }),
    ),
    properties: optional(Properties),
  },
  { ...closed, description: 'Messages that each device of the group sends on its own beat.' },
)

const Subscribe = Type.Object(
  {
    filter: Type.String({ minLength: 1, description: `may hold \${device} \${n} \${group} \${attr.NAME}` }),
    qos: optional(qos('asked for')),
    ...subscriptionOptions,
  },
  closed,
)

const Session = Type.Object(
  {
    clean: optional(
      Type.Boolean({ description: 'clean session (true); false keeps subscriptions and queue' }),
    ),
    keepAlive: optional(time('between two signs of life (60s)')),
    resumeTls: optional(Type.Boolean({ description: 'resume the TLS session on reconnect (false)' })),
    ...presenceOptions(qos),
    ...sessionOptions(time),
  },
  { ...closed, description: 'The MQTT and TLS session.' },
)

const Group = Type.Object(
  {
    name: name('of the group'),
    count: Type.Integer({ minimum: 1, maximum: 200_000, description: 'how many devices' }),
    first: optional(
      Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'number of the first device (1)' }),
    ),
    id: optional(Type.String({ description: `device ID, with \${n} for the number (sim-GROUP-\${n})` })),
    registryGroups: optional(
      Type.Array(Type.String(), { maxItems: 20, description: 'groups of the registry that devices join' }),
    ),
    attributes: optional(
      Type.Record(Type.String(), Type.String(), { description: 'of each device in the registry' }),
    ),
    keyType: optional(Type.Enum([...keyTypes], { description: 'of the device keys (p256)' })),
    link: optional(
      Type.Enum([...linkKinds], {
        description: 'lean: in little memory (default); mqttjs: as MQTT.js does it',
      }),
    ),
    protocol: optional(ProtocolName),
    clientId: optional(Type.String({ description: `MQTT client ID (\${device})` })),
    headers: optional(
      Type.Array(Type.Enum(['cnt64', 'ts']), {
        maxItems: 2,
        description: 'binary headers of emqtt-bench before each payload, in place of our numbers',
      }),
    ),
    session: optional(Session),
    publish: optional(Type.Array(Publish, { maxItems: 20, description: 'what devices send' })),
    subscribe: optional(Type.Array(Subscribe, { maxItems: 20, description: 'what devices listen to' })),
    answer: optional(
      Type.Object(
        {
          topic: Type.String({ minLength: 1, description: 'of the answers' }),
          qos: optional(qos('of the answers')),
          after: optional(time('until the answer is sent (at once)')),
          ...answerOptions,
        },
        { ...closed, description: 'Every message received is answered.' },
      ),
    ),
    dutyCycle: optional(
      Type.Object(
        { awake: time('connected'), asleep: time('disconnected') },
        { ...closed, description: 'Devices that sleep most of the time.' },
      ),
    ),
    reconnect: optional(
      Type.Object(
        {
          first: optional(time('longest wait after the first failure (1s)')),
          most: optional(time('longest wait of all (30s); doubled until there')),
          jitter: optional(share('of the wait that is left to chance (75%)')),
          never: optional(Type.Boolean({ description: 'one attempt and no more' })),
        },
        { ...closed, description: 'Exponential back-off with jitter, as device SDKs do it.' },
      ),
    ),
    fault: optional(Type.Enum([...faultKinds], { description: 'what is wrong with these devices' })),
    clockSkew: optional(
      text('^-?\\d+(\\.\\d+)?(ms|s|m|h|d)$', 'how far their clock is ahead', 'a time such as -10m or 400d'),
    ),
    directory: optional(Type.String({ description: 'of identities, for this group alone' })),
    expect: optional(
      Type.Enum(['admitted', 'refused', 'either'], {
        description: 'what should become of them; the fault decides where nothing is said',
      }),
    ),
  },
  { ...closed, description: 'Devices of one kind.' },
)

const Stage = Type.Object(
  {
    name: optional(name('shown in view and report; the kind where none is given')),
    kind: Type.Enum(['ramp', 'steady', 'storm', 'pause'], {
      description:
        'ramp: devices start · steady: go on · storm: sessions are lost at once · pause: nobody publishes',
    }),
    for: optional(time('how long; a ramp lasts until all have started where nothing is said')),
    rate: optional(
      Type.Number({ exclusiveMinimum: 0, maximum: 100_000, description: 'ramp: devices per second (50)' }),
    ),
    arrival: optional(
      Type.Enum(['constant', 'poisson', 'burst'], { description: 'ramp: how starts are spread (constant)' }),
    ),
    burst: optional(Type.Integer({ minimum: 1, description: 'ramp: devices in a burst (10)' })),
    quiet: optional(Type.Boolean({ description: 'ramp: nobody of them publishes until it is over (false)' })),
    groups: optional(groupNames('the groups that it concerns (all)')),
    share: optional(share('storm: how many of the connected lose their session (100%)')),
    over: optional(time('storm: spread over this long (at once)')),
  },
  { ...closed, description: 'What the fleet does, one after the other.' },
)

const Action = Type.Object(
  {
    at: time('after the start of the run'),
    do: Type.Enum(['revoke', 'suspend', 'activate', 'rotate', 'disable-issuer', 'enable-issuer'], {
      description: 'what the operator does',
    }),
    group: optional(name('the group of devices')),
    share: optional(share('of the group, chosen by the seed (100%)')),
    issuer: optional(Type.String({ description: 'disable-issuer: its ID (the issuer of the group)' })),
  },
  { ...closed, description: 'What an operator does while the fleet runs.' },
)

const Assert = Type.Object(
  {
    at: optional(time('after the start of the run (its end)')),
    that: Type.String({ description: 'METRIC OPERATOR VALUE, such as connected >= 99%' }),
    group: optional(name('counts this group alone')),
  },
  { ...closed, description: 'What must hold at a moment.' },
)

export const ScenarioSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 80, description: 'title of the report' }),
    description: optional(Type.String({ maxLength: 1_000, description: 'what it is for' })),
    seed: optional(
      Type.Integer({ minimum: 0, maximum: 4_294_967_295, description: 'the same seed replays the run' }),
    ),
    target: optional(Target),
    workers: optional(
      Type.Integer({
        minimum: 1,
        maximum: 64,
        description: 'processes (as many as devices and CPUs call for)',
      }),
    ),
    sources: optional(
      Type.Array(Type.String(), {
        minItems: 1,
        maxItems: 256,
        description: 'local addresses to connect from',
      }),
    ),
    connectTimeout: optional(time('for TCP, TLS and CONNACK together (15s)')),
    grace: optional(time('until a session must be cut once its right has ended (2s)')),
    groups: Type.Array(Group, { minItems: 1, maxItems: 50, description: 'the fleet' }),
    stages: Type.Array(Stage, { minItems: 1, maxItems: 100, description: 'one after the other' }),
    actions: optional(Type.Array(Action, { maxItems: 100, description: 'of an operator' })),
    assert: optional(Type.Array(Assert, { maxItems: 100, description: 'what must hold at a moment' })),
    thresholds: optional(
      Type.Array(Type.String(), {
        maxItems: 100,
        description: 'what the whole run must keep: METRIC OPERATOR VALUE, such as acknowledge.p99 < 500ms',
      }),
    ),
  },
  {
    ...closed,
    title: 'Rollcall simulator scenario',
    description: 'A fleet of devices and what becomes of it.',
  },
)

/** A scenario as it stands in a file. */
export type Scenario = Static<typeof ScenarioSchema>
export type RawGroup = Scenario['groups'][number]
export type RawStage = Scenario['stages'][number]
export type RawAction = NonNullable<Scenario['actions']>[number]
