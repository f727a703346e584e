// Manual pages in man(7): one for the program, one for each noun with all of its verbs. Pure.
import type { Command, Option } from 'commander'

/** By their file names. */
export function manualPages(program: Command, version: string): Map<string, string> {
  const pages = new Map<string, string>()
  pages.set('rollcall.1', programPage(program, version))
  for (const noun of program.commands) pages.set(`rollcall-${noun.name()}.1`, nounPage(noun, version))
  return pages
}

function programPage(program: Command, version: string): string {
  const commands = program.commands.map(
    one => `.TP\n\\fB${escaped(`rollcall-${one.name()}`)}\\fP(1)\n${text(one.summary())}`,
  )
  return [
    title('rollcall', version),
    '.SH NAME\nrollcall \\- an MQTT broker over mutual TLS that admits only devices on the roll',
    '.SH SYNOPSIS\n.B rollcall\n.I command\n[\\fIoptions\\fP]',
    `.SH COMMANDS\n${commands.join('\n')}`,
    `.SH EXIT STATUS\n.TP\n0\ndone\n.TP\n1\nfailed: standard error has the cause and the remedy\n.TP\n2\ninvalid command line`,
    '',
  ].join('\n')
}

function nounPage(noun: Command, version: string): string {
  const name = `rollcall-${noun.name()}`
  const leaves = leavesOf(noun, noun.name())
  const sections = leaves.map(
    ({ command, path }) =>
      (leaves.length === 1 ? '' : `.SH ${escaped(path.toUpperCase())}\n`) + body(command),
  )
  return [
    title(name, version),
    `.SH NAME\n${escaped(name)} \\- ${text(noun.summary())}`,
    `.SH SYNOPSIS\n${leaves.map(({ command, path }) => `.B rollcall ${escaped(path)}\n${text(command.usage())}\n.br`).join('\n')}`,
    ...(leaves.length === 1 && noun.commands.length === 0
      ? []
      : [`.SH DESCRIPTION\n${text(noun.description())}`]),
    ...sections,
    '.SH SEE ALSO\n\\fBrollcall\\fP(1)',
    '',
  ].join('\n')
}

function leavesOf(command: Command, path: string): { command: Command; path: string }[] {
  if (command.commands.length === 0) return [{ command, path }]
  return command.commands.flatMap(child => leavesOf(child, `${path} ${child.name()}`))
}

function body(command: Command): string {
  const said = command.description() || command.summary()
  const ends = command.registeredArguments.map(
    argument =>
      `.TP\n\\fI${escaped(argument.name())}\\fP${argument.variadic ? '...' : ''}${argument.required ? '' : ' (optional)'}\n${text(argument.description)}`,
  )
  const options = command.options.filter(({ hidden }) => !hidden).map(optionText)
  const lines = examplesIn(command)
  return [
    text(said),
    ...ends,
    ...options,
    ...(lines.length > 0 ? [`.PP\nExamples:\n.PP\n.nf\n${lines.map(escaped).join('\n')}\n.fi`] : []),
  ].join('\n')
}

function optionText({ flags, description, defaultValue, argChoices }: Option): string {
  const choices = argChoices === undefined ? '' : ` (one of ${argChoices.join(', ')})`
  const value =
    defaultValue === undefined || Array.isArray(defaultValue) ? '' : ` (default: ${String(defaultValue)})`
  return `.TP\n\\fB${escaped(flags)}\\fP\n${text(`${description}${choices}${value}`)}`
}

/** Those that stand in the command's own help. */
function examplesIn(command: Command): string[] {
  let help = ''
  const { writeOut } = command.configureOutput()
  command.configureOutput({
    writeOut(part) {
      help += part
    },
  })
  command.outputHelp()
  command.configureOutput({ ...(writeOut && { writeOut }) })
  const lines = (help.split('\nExamples:\n')[1] ?? '').split('\n').map(line => line.trim())
  return [...new Set(lines.filter(line => line.startsWith('rollcall ')))]
}

function title(name: string, version: string): string {
  return `.TH ${name.toUpperCase()} 1 "" "rollcall ${version}" "Rollcall"\n.nh\n.ad l`
}

function text(words: string): string {
  return words === '' ? '' : escaped(words)
}

/** A backslash is no escape, a hyphen is one to copy, and a line that begins with a dot or quote is no request. */
function escaped(words: string): string {
  return words
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1')
}
