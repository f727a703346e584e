// Messages of QoS 2 that are here and not yet known: the same one again waits until it is [MQTT-4.3.3-2]. aedes looks for it before
// it stores it, so two in one write are both new to it.

export type Arriving = ReturnType<typeof createArriving>

export function createArriving() {
  const arriving = new WeakMap<object, Map<number, PromiseWithResolvers<void>>>()
  return {
    /** When the one that is here already has been acknowledged; null where there is none: this is the one, until `end`. */
    begin(client: object, messageId: number): Promise<void> | null {
      const own = arriving.get(client) ?? new Map<number, PromiseWithResolvers<void>>()
      const before = own.get(messageId)
      if (before !== undefined) return before.promise
      arriving.set(client, own.set(messageId, Promise.withResolvers()))
      return null
    },
    end(client: object, messageId: number): void {
      const own = arriving.get(client)
      own?.get(messageId)?.resolve()
      own?.delete(messageId)
    },
  }
}
