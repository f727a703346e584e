// A draft as it is typed: what it says, or everything that is wrong with it, each at its line. Pure.
import { type PolicyDocument, parsePolicy } from '../../../policy/document.ts'
import { readJson } from './json-lines.ts'

const LINE_CHARACTERS = 80

type LineFault = { line: number; path: string; message: string }
export type DraftValidation =
  | { document: PolicyDocument; faults: [] }
  | { document: null; faults: LineFault[] }

export function validateDraft(text: string, name: string): DraftValidation {
  const read = readJson(text)
  if ('fault' in read) return { document: null, faults: [{ ...read.fault, path: '' }] }
  const lineOf = (path: string): number => {
    // A fault of something that is missing stands at what should hold it.
    let known = path
    while (known !== '' && !read.lines.has(known))
      known = known.replace(/(?:\.[^.[\]]*|\[\d+\]|^[^.[\]]+)$/, '')
    return read.lines.get(known) ?? 1
  }
  const parsed = parsePolicy(read.value)
  if ('faults' in parsed)
    return { document: null, faults: parsed.faults.map(fault => ({ ...fault, line: lineOf(fault.path) })) }
  if (parsed.policy.name !== name) {
    const message = `the name is ${name}: a policy is not renamed, write another`
    return { document: null, faults: [{ line: lineOf('name'), path: 'name', message }] }
  }
  return { document: parsed.policy, faults: [] }
}

/** A list of texts as JSON writes them, of any length; a quote within a text has a backslash before it. */
const listOfTexts = /\[\s+("(?:[^"\\\n]|\\.)*"(?:,\s+"(?:[^"\\\n]|\\.)*")*)\s+\]/g

/** As people write it: a list of texts stays on one line as long as that is short. */
export function documentText(document: PolicyDocument): string {
  const wide = JSON.stringify(document, null, 2)
  const lists = wide.replace(listOfTexts, (list, texts: string) => {
    const line = `[${texts.replace(/\n\s*/g, ' ')}]`
    return line.length > LINE_CHARACTERS ? list : line
  })
  return `${lists}\n`
}
