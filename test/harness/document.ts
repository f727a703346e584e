// The code of a document, as a reader would copy it. Refuses to know what it does.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Endpoints } from '../../cli/data-directory.ts'
import { repository } from '../cli/running.ts'

/** A fenced block below its `## ` heading; the language of one that shows what is printed is ''. */
export type Block = { heading: string; language: string; text: string }

/** All of a document, in order. */
export function blocksOf(path: string): Block[] {
  const document = readFileSync(join(repository, path), 'utf8')
  const blocks = document.split(/^## /m).flatMap(section => {
    const heading = section.slice(0, section.indexOf('\n'))
    return [...section.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = '', text = '']) => ({
      heading,
      language,
      text,
    }))
  })
  assert.ok(blocks.length > 0, `${path} has code`)
  return blocks
}

/** The shell commands of a document, in order. */
export function shellBlocksOf(path: string): string[] {
  return blocksOf(path).flatMap(({ language, text }) => (language === 'sh' ? [text] : []))
}

/** The same text where the services accept elsewhere than by default. */
export function onPorts(text: string, { mqtts, api, admin }: Endpoints): string {
  const ports = { 8883: mqtts, 8443: api, 9464: admin }
  return Object.entries(ports).reduce(
    (moved, [usual, url]) => moved.replaceAll(new RegExp(`(?<=[: ])${usual}\\b`, 'g'), new URL(url).port),
    text,
  )
}
