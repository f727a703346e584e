// Installs the device SDKs of AWS and Azure and Node-RED into a directory of their own and tries them: `npm run interop`.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const packages = [
  'aws-iot-device-sdk-v2@1.28.0',
  'aws-iot-device-sdk@2.2.16',
  'azure-iot-device@1.18.4',
  'azure-iot-device-mqtt@1.16.4',
  'node-red@4.1.15',
]

const directory = mkdtempSync(join(tmpdir(), 'rollcall-device-sdks-'))
process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
// Binaries are in the packages; what they would run at install only looks for them.
const install = ['install', '--no-save', '--ignore-scripts', '--prefix', directory, ...packages]
const installed = spawnSync('npm', install, { stdio: 'inherit' })
if (installed.status !== 0) process.exit(installed.status ?? 1)
const modules = join(directory, 'node_modules')
const env = {
  ...process.env,
  ROLLCALL_AWS_IOT_SDK: join(modules, 'aws-iot-device-sdk-v2'),
  ROLLCALL_DEVICE_SDKS: modules,
}
const tests = ['aws-iot-sdk.test.ts', 'like-aws-iot.test.ts', 'device-sdks.test.ts'].map(name =>
  join(import.meta.dirname, name),
)
process.exitCode = spawnSync(process.execPath, ['--test', ...tests], { stdio: 'inherit', env }).status ?? 1
