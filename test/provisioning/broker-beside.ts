// A broker on the directory of a provisioning service, in this process, and devices that connect to it.
import mqtt, { type IClientOptions } from 'mqtt'
import pino from 'pino'
import { startBroker } from '../../broker/index.ts'
import { validateSettings } from '../../broker/settings/validation.ts'
import { makeCsr, type Service } from './harness.ts'

export function beside(service: Service, gates = 0) {
  const log = pino({ level: 'silent' })
  const settings = validateSettings({ gates })
  return startBroker({ data: service.directory, host: '127.0.0.1', port: 0, settings, log })
}

/** Enrolls a device and connects as it; `again` does so once more. */
export async function connect(
  service: Service,
  port: number,
  deviceId: string,
  options: IClientOptions = {},
) {
  const { csr, key } = makeCsr('p256')
  const { certificate, chain, fingerprint } = await service.enroll(deviceId, csr)
  const again = () =>
    mqtt.connectAsync({
      ...{ protocol: 'mqtts', host: '127.0.0.1', port, ca: service.ca, servername: 'localhost' },
      ...{ clientId: deviceId, cert: certificate + chain.join(''), key, keepalive: 30, reconnectPeriod: 0 },
      ...options,
    })
  return { client: await again(), fingerprint, again }
}
