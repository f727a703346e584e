// Examples in the help of every command of the simulator, in the words of the program that is run.
import type { Command } from 'commander'

/** By the words after the program. */
const examples: Readonly<Record<string, readonly string[]>> = {
  '': [
    '--data data --devices 500 --rate 100 --rogues',
    '--broker mqtts://broker.example:8883 --directory certs --ca ca.crt',
  ],
  run: [
    'run smoke --data data',
    'run reconnect-storm --data data --devices 5000 --report storm.html',
    'run fleet.yaml --broker mqtts://broker.example:8883 --directory certs --ca ca.crt --json run.json',
  ],
  check: ['check fleet.yaml'],
  presets: ['presets', 'presets smoke > fleet.yaml'],
  schema: ['schema > scenario.schema.json'],
  compare: ['compare before.json after.json --max-worse 20%'],
  clean: ['clean --data data', 'clean --data data --decommission'],
  agent: ['agent --init', 'agent --listen 192.0.2.10:7420 --trust FINGERPRINT'],
  conformance: ['conformance --data data', 'conformance --broker mqtt://127.0.0.1:1883 --only 3.3.1'],
  conn: ['conn -h broker.example -p 8883 -S --cacertfile ca.crt -c 1000 -R 100'],
  pub: ['pub -h 127.0.0.1 -p 1883 -c 100 -I 500 -t bench/%i -s 128 -q 1 -L 5000'],
  sub: ['sub -h 127.0.0.1 -p 1883 -c 100 -t bench/# -q 1'],
  bench: ['bench pub -h 127.0.0.1 -p 1883 -c 100 -im 500 -t bench/%i -m hello -L 5000'],
}

/** Adds its examples to the command and to those below it. `program` is what a user types before their words. */
export function addExamples(command: Command, program: string, words = ''): void {
  const lines = Object.hasOwn(examples, words) ? examples[words]! : []
  if (lines.length > 0)
    command.addHelpText('after', `\nExamples:\n${lines.map(line => `  ${program} ${line}`).join('\n')}`)
  for (const child of command.commands) addExamples(child, program, `${words} ${child.name()}`.trim())
}
