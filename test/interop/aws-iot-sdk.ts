// Installs AWS's device SDK into a directory of its own and tries it: `npm run interop`.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const SDK = 'aws-iot-device-sdk-v2@1.28.0'

const directory = mkdtempSync(join(tmpdir(), 'rollcall-aws-sdk-'))
process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
// Its binaries are in the package; what it would run at install only looks for them.
const install = ['install', '--no-save', '--ignore-scripts', '--prefix', directory, SDK]
const installed = spawnSync('npm', install, { stdio: 'inherit' })
if (installed.status !== 0) process.exit(installed.status ?? 1)
const env = {
  ...process.env,
  ROLLCALL_AWS_IOT_SDK: join(directory, 'node_modules', 'aws-iot-device-sdk-v2'),
}
const tests = join(import.meta.dirname, 'aws-iot-sdk.test.ts')
process.exitCode = spawnSync(process.execPath, ['--test', tests], { stdio: 'inherit', env }).status ?? 1
