// What `rollcall up` says once it runs: where things are, and commands to copy that work from where the user stands.
import { join, relative, resolve } from 'node:path'
import { programName, quoted } from '../program-name.ts'

type ServiceAddresses = { mqtts: string; api: string; admin: string; data: string }

/** With the ports and paths of this very start. An empty roll gets the commands of the first minute, another those of every day. */
export function startupMessage(addresses: ServiceAddresses, isRollEmpty: boolean): string {
  const { mqtts, api, admin, data } = addresses
  return `
Rollcall is up. Devices connect to ${mqtts}, operators to ${api}, health is at ${admin}/readyz.

  Console          ${api}/  (in a browser that trusts the CA certificate below; sign in with the API token)
  API token        ${shownPath(join(data, 'admin.token'))}  (its readers can enroll and revoke)
  CA certificate   ${shownPath(join(data, 'ca.crt'))}  (what devices trust)

${isRollEmpty ? firstCommands(addresses) : dailyCommands(data)}
Ctrl-C stops everything; the same command starts it again with everything in place.

`
}

function dailyCommands(data: string): string {
  const rollcall = programName()
  const from = `--data ${quoted(shownPath(data))}`
  return `  ${rollcall} status ${from}
  ${rollcall} device list --sort -last-seen ${from}
  ${rollcall} events --follow ${from}
`
}

function firstCommands({ mqtts, data }: ServiceAddresses): string {
  const rollcall = programName()
  const { hostname, port } = new URL(mqtts)
  const from = `--data ${quoted(shownPath(data))}`
  const ca = quoted(shownPath(join(data, 'ca.crt')))
  const mosquitto = (verb: 'pub' | 'sub', id: string) =>
    `mosquitto_${verb} -h ${hostname.replace(/^\[|\]$/g, '')} -p ${port} --cafile ${ca}` +
    ` --cert devices/${id}/device.crt --key devices/${id}/device.key -i ${id}`
  return `Copy into a second terminal:

  # put a device on the roll
  ${rollcall} device add sensor-1 ${from}
  ${rollcall} device enroll sensor-1 --out devices/sensor-1 ${from}

  # listen as a backend (leave it running; go on in a third terminal)
  ${rollcall} device add backend-1 --group backend ${from}
  ${rollcall} device enroll backend-1 --out devices/backend-1 ${from}
  ${mosquitto('sub', 'backend-1')} -t 'devices/#' -v

  # publish as the device
  ${mosquitto('pub', 'sensor-1')} -t devices/sensor-1/temperature -m 21.5

  # revoke it, and ask why it is refused from then on
  ${rollcall} certificate revoke devices/sensor-1/device.crt --reason keyCompromise ${from}
  ${rollcall} explain sensor-1 ${from}

  # run a simulated fleet, rogues included
  ${rollcall} sim --devices 500 --rate 100 --interval 5s --duration 30s --rogues ${from}
`
}

/** The shorter of the relative and the absolute form. */
function shownPath(path: string): string {
  const short = relative(process.cwd(), resolve(path))
  if (short.startsWith('..')) return resolve(path)
  return short === '' ? '.' : short
}
