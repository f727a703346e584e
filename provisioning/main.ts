// Runs the provisioning service of a process: settings from the environment besides the options given.
import type { ProvisioningOptions } from './config.ts'
import { createProvisioning, type RunningProvisioning } from './index.ts'

export type { ProvisioningOptions, RunningProvisioning }

/** Starts the service on a data directory, making there what is missing. Throws an error that says what to do. */
export function runProvisioning(
  options: ProvisioningOptions,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<RunningProvisioning> {
  return createProvisioning(options, environment)
}
