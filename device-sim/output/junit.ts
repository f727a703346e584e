// A run as JUnit XML, which CI servers show: a test case for each threshold, for devices wrongly admitted or refused, and for
// every other failure of the run. Pure.
import type { Summary } from '../results/summary.ts'
import { measuredText, plain } from './figures.ts'

export type Case = {
  group: string
  name: string
  failure: string | null
  /** Why it was not tried; null where it was. */
  skipped?: string | null
  seconds?: number
}

export function junitText(summary: Summary): string {
  const { run, seconds, checks, wronglyAdmitted, wronglyRefused, verdict } = summary
  const cases: Case[] = [
    {
      group: 'rights',
      name: 'nobody is wrongly admitted',
      failure: wronglyAdmitted.count === 0 ? null : `${wronglyAdmitted.count} were`,
    },
    {
      group: 'rights',
      name: 'nobody is wrongly refused',
      failure: wronglyRefused.count === 0 ? null : `${wronglyRefused.count} were`,
    },
    ...checks.map(({ kind, expression, observed, passed, elapsedSeconds }) => ({
      group: kind,
      name: elapsedSeconds === null ? expression : `${expression} after ${elapsedSeconds} s`,
      failure: passed ? null : `observed: ${measuredText(expression, observed)}`,
    })),
    { group: 'run', name: 'the run passes', failure: verdict.passed ? null : verdict.breaches.join('; ') },
  ]
  return suiteText(run.name, run.startedAt, seconds, cases)
}

/** One suite of test cases. */
export function suiteText(suite: string, at: string, seconds: number, cases: readonly Case[]): string {
  const attributes = [
    ['name', suite],
    ['tests', cases.length],
    ['failures', cases.filter(({ failure }) => failure !== null).length],
    ['errors', 0],
    ['skipped', cases.filter(({ skipped = null }) => skipped !== null).length],
    ['time', Math.round(seconds * 1000) / 1000],
    ['timestamp', at],
  ] as const
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<testsuites>',
    `  <testsuite ${attributes.map(([name, value]) => `${name}="${escaped(String(value))}"`).join(' ')}>`,
    ...cases.map(caseText),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n')
}

function caseText({ group, name, failure, skipped = null, seconds = 0 }: Case): string {
  const head = `    <testcase classname="rollcall-sim.${escaped(group)}" name="${escaped(name)}" time="${seconds}"`
  if (skipped !== null) return `${head}>\n      <skipped message="${escaped(skipped)}"/>\n    </testcase>`
  if (failure === null) return `${head}/>`
  return `${head}>\n      <failure message="${escaped(failure)}"/>\n    </testcase>`
}

/** XML 1.0 §2.2 lets through no control character; names of a run hold anything. */
function escaped(text: string): string {
  return plain(text)
    .replace(/[\ud800-\udfff\ufffe\uffff]/g, '·')
    .replace(/[&<>"']/g, sign => `&#${sign.charCodeAt(0)};`)
}
