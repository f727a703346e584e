// What a session leaves behind when it ends, and what an answer carries. Types and schema.
import Type, { type TInteger } from 'typebox'

const closed = { additionalProperties: false }

/** Of a session. */
export const presenceOptions = (qos: (description: string) => TInteger) => ({
  inFlight: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 65_535, description: 'unacknowledged messages at most (64)' }),
  ),
  will: Type.Optional(
    Type.Object(
      {
        topic: Type.String({
          minLength: 1,
          description: `may hold \${device} \${n} \${group} \${attr.NAME}`,
        }),
        payload: Type.Optional(Type.String({ description: 'may hold the same' })),
        sparkplug: Type.Optional(
          Type.Enum(['NDEATH'], { description: 'the payload is the death of a Sparkplug edge node' }),
        ),
        qos: Type.Optional(qos('of the will')),
        retain: Type.Optional(Type.Boolean({ description: 'a retained message (false)' })),
      },
      { ...closed, description: 'What the broker publishes if the device vanishes.' },
    ),
  ),
})

/** Of an answer. */
export const answerOptions = {
  payload: Type.Optional(
    Type.Unknown({
      description: `any JSON, as in payload; may hold \${topic.N} and \${json.KEY} of what is answered ({})`,
    }),
  ),
  numbered: Type.Optional(Type.Boolean({ description: 'as of publish (true)' })),
}
