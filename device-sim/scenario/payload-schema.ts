// What a message may carry: one generator each. Types and schema; payload.ts makes the bytes.
import Type, { type Static } from 'typebox'

const closed = { additionalProperties: false }
const field = { field: Type.Optional(Type.String({ description: 'name of the JSON member (value)' })) }
const period = Type.String({
  pattern: '^\\d+(\\.\\d+)?(ms|s|m|h)$',
  expected: 'a time such as 500ms, 5s, 2m or 1h',
})

export const Sparkplug = Type.Object(
  {
    message: Type.Enum(['NBIRTH', 'NDATA', 'NDEATH', 'DBIRTH', 'DDATA', 'DDEATH', 'NCMD'], {
      description:
        'NBIRTH also carries bdSeq and Node Control/Rebirth; NDEATH bdSeq alone; NCMD is a command of a host',
    }),
    metrics: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Type.String({ minLength: 1, maxLength: 200 }),
            type: Type.Enum([
              'Int32',
              'Int64',
              'UInt32',
              'UInt64',
              'Float',
              'Double',
              'Boolean',
              'String',
              'DateTime',
            ]),
            value: Type.Unknown({ description: `a number, text or boolean, or \${sine:…} and the like` }),
          },
          closed,
        ),
        { maxItems: 200, description: 'in this order' },
      ),
    ),
  },
  { ...closed, description: 'a payload of Sparkplug B, with its sequence number' },
)
export type SparkplugPlan = Static<typeof Sparkplug>

export const Payload = Type.Object(
  {
    constant: Type.Optional(Type.String({ description: 'the same text each time' })),
    random: Type.Optional(
      Type.Object(
        { bytes: Type.Integer({ minimum: 1, maximum: 1_048_576, description: 'length of the message' }) },
        { ...closed, description: 'letters left to chance' },
      ),
    ),
    ramp: Type.Optional(
      Type.Object(
        {
          ...field,
          from: Type.Number(),
          to: Type.Number(),
          steps: Type.Integer({ minimum: 1, description: 'messages until it starts again' }),
        },
        { ...closed, description: 'a number that grows from message to message' },
      ),
    ),
    sine: Type.Optional(
      Type.Object(
        {
          ...field,
          mean: Type.Number(),
          amplitude: Type.Number(),
          period,
          noise: Type.Optional(Type.Number({ minimum: 0, description: 'standard deviation' })),
        },
        { ...closed, description: 'a number that swings, with noise' },
      ),
    ),
    json: Type.Optional(
      Type.Unknown({
        description: `any JSON; texts may hold \${device} \${n} \${seq} \${now} \${time} \${random} \${between:LOW:HIGH} \${sine:MEAN:AMPLITUDE:PERIOD} \${grow:FROM:STEP} \${pick:A|B} and become numbers where alone`,
      }),
    ),
    file: Type.Optional(
      Type.String({ description: 'replayed line by line, again from its start at the end' }),
    ),
    sparkplug: Type.Optional(Sparkplug),
  },
  { ...closed, minProperties: 1, maxProperties: 1, description: 'What messages carry: one generator.' },
)

export type PayloadPlan = Static<typeof Payload>
