// Which test files use programs that npm does not bring along, and the Debian packages that hold those programs.

export const debianPackages: Record<string, string> = {
  openssl: 'openssl',
  mosquitto: 'mosquitto',
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
  pki: 'strongswan-pki libstrongswan-standard-plugins',
  chromium: 'chromium',
}

/** Test files (globs below test/) and the programs they start. Kept true by a test. */
export const toolUsers: Record<string, readonly string[]> = {
  'provisioning/**': ['openssl'],
  'provisioning/ocsp.test.ts': ['ocsptool'],
  'provisioning/token-keys.test.ts': ['softhsm2-util', 'pkcs11-tool'],
  'interop/est.test.ts': ['pki'],
  'interop/sys-topics.test.ts': ['mosquitto'],
  'interop/**': ['openssl', 'mosquitto_pub', 'mosquitto_sub', 'curl'],
  'e2e/enrolling-itself.test.ts': ['curl'],
  'e2e/**': ['openssl', 'mosquitto_pub', 'mosquitto_sub'],
  'device-sim/two-brokers.test.ts': ['openssl', 'mosquitto'],
  'console/flow.test.ts': ['openssl', 'mosquitto_pub', 'mosquitto_sub', 'chromium'],
  'console/{sad-paths,steering,hostile,accessibility}.test.ts': ['openssl', 'chromium'],
  'console/serving.test.ts': ['openssl'],
  'fault/**': ['openssl', 'faketime'],
  'deploy/observability.test.ts': ['promtool'],
  'fault/network.test.ts': ['iptables'],
  'fault/power-loss.test.ts': ['strace'],
  'fault/killed-while-signing.test.ts': ['strace'],
  'fault/registry-loss-modes.test.ts': ['mosquitto_pub'],
  'cli/explain.test.ts': ['openssl'],
  'cli/doctor.test.ts': ['openssl'],
  'cli/device.test.ts': ['openssl', 'mosquitto_pub'],
  'packaging/package.test.ts': ['openssl', 'mosquitto_pub'],
}
