// Which test files use programs that `npm ci` does not bring along, and the packages that hold those programs.
import manifest from '../package.json' with { type: 'json' }

export const debianPackages: Record<string, string> = {
  openssl: 'openssl',
  mosquitto: 'mosquitto',
  'nats-server': 'nats-server',
  mosquitto_pub: 'mosquitto-clients',
  mosquitto_sub: 'mosquitto-clients',
  curl: 'curl',
  faketime: 'faketime',
  strace: 'strace',
  iptables: 'iptables',
  ocsptool: 'gnutls-bin',
  'softhsm2-util': 'softhsm2',
  'pkcs11-tool': 'opensc',
  promtool: 'prometheus',
  'systemd-analyze': 'systemd',
  pki: 'strongswan-pki libstrongswan-standard-plugins',
  chromium: 'chromium',
  cc: 'gcc libc6-dev libmosquitto-dev',
  swtpm: 'swtpm',
  tpm2_createek: 'tpm2-tools tpm2-openssl',
}

/** Programs that an npm package brings, which is not among the packages of this project. */
export const npmPackages: Record<string, string> = { bun: `bun@${manifest.config.bun}` }

/** Test files (globs below test/) and the programs they start. Kept true by a test. */
export const toolUsers: Record<string, readonly string[]> = {
  'broker/on-bun.test.ts': ['bun'],
  'cli/service/broker-runtime.test.ts': ['bun'],
  'e2e/bun-broker.test.ts': ['bun'],
  'provisioning/**': ['openssl'],
  'provisioning/revocation/ocsp.test.ts': ['ocsptool'],
  'provisioning/ca/token-keys.test.ts': ['softhsm2-util', 'pkcs11-tool'],
  'provisioning/tpm/swtpm.test.ts': ['swtpm', 'tpm2_createek'],
  'provisioning/tpm/tpm-document.test.ts': ['swtpm', 'tpm2_createek', 'curl', 'mosquitto_pub'],
  'interop/est.test.ts': ['pki'],
  'interop/{sys-topics,mosquitto-v5,mqttjs-v5,paho-v5,aws-iot-sdk}.test.ts': ['mosquitto'],
  'interop/**': ['openssl', 'mosquitto_pub', 'mosquitto_sub', 'curl'],
  'e2e/enrolling-itself.test.ts': ['curl'],
  'e2e/examples.test.ts': ['cc'],
  'e2e/**': ['openssl', 'mosquitto_pub', 'mosquitto_sub'],
  'device-sim/{two-brokers,control-broker,any-target}.test.ts': ['openssl', 'mosquitto'],
  'device-sim/conformance/clauses.test.ts': ['mosquitto'],
  'device-sim/agents/run.test.ts': ['faketime'],
  'device-sim/several-brokers.test.ts': ['mosquitto', 'nats-server'],
  'console/flow.test.ts': ['openssl', 'mosquitto_pub', 'mosquitto_sub', 'chromium'],
  'console/{sad-paths,steering,hostile,accessibility,administration}.test.ts': ['openssl', 'chromium'],
  'console/serving.test.ts': ['openssl'],
  'fault/**': ['openssl', 'faketime'],
  'deploy/observability.test.ts': ['promtool'],
  'deploy/systemd.test.ts': ['systemd-analyze'],
  'fault/network.test.ts': ['iptables'],
  'fault/power-loss.test.ts': ['strace'],
  'fault/killed-while-signing.test.ts': ['strace'],
  'fault/registry-loss-modes.test.ts': ['mosquitto_pub'],
  'cli/explain/command.test.ts': ['openssl'],
  'cli/doctor/command.test.ts': ['openssl'],
  'cli/certificate/pem-forms.test.ts': ['openssl'],
  'cli/device/command.test.ts': ['openssl', 'mosquitto_pub'],
  'packaging/package.test.ts': ['openssl', 'mosquitto_pub'],
}
