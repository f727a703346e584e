// `rollcall completion`: a script that completes nouns, verbs and flags in a shell. Made from the commands themselves.
import { Argument, Command } from 'commander'

const shells = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof shells)[number]

/** @param load makes the whole program, every noun of it */
export function completionCommand(load: () => Promise<Command>): Command {
  return new Command('completion')
    .description('Prints a script that completes commands and flags of rollcall in your shell.')
    .addArgument(new Argument('<shell>', 'your shell').choices(shells))
    .addHelpText(
      'after',
      '\nExamples:\n  rollcall completion bash > /etc/bash_completion.d/rollcall\n  source <(rollcall completion zsh)\n' +
        '  rollcall completion fish > ~/.config/fish/completions/rollcall.fish',
    )
    .action(async (shell: Shell) => {
      process.stdout.write(scripts[shell](wordsOf(await load())))
    })
}

/** What may follow each path of commands: further commands, else flags. */
type Words = Map<string, string[]>

function wordsOf(program: Command): Words {
  const words: Words = new Map()
  const walk = (command: Command, path: string) => {
    const children = command.commands.map(child => child.name())
    const flags = command.options.flatMap(({ long, hidden }) => (long && !hidden ? [long] : []))
    words.set(path, children.length > 0 ? children : [...flags, '--help'])
    for (const child of command.commands) walk(child, `${path} ${child.name()}`.trim())
  }
  walk(program, '')
  return words
}

/** The words that are given are gathered until they name no command any more: what follows is its arguments. */
function bash(words: Words): string {
  const lines = [...words].map(([path, next]) => `    '${path}') echo '${next.join(' ')}' ;;`)
  return `_rollcall_words() {
  case $1 in
${lines.join('\n')}
    *) return 1 ;;
  esac
}
_rollcall() {
  local path='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    _rollcall_words "\${path:+$path }$word" > /dev/null && path="\${path:+$path }$word"
  done
  COMPREPLY=($(compgen -W "$(_rollcall_words "$path")" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _rollcall rollcall
`
}

function fish(words: Words): string {
  const lines = [...words].flatMap(([path, next]) => {
    const seen = path.split(' ').map(word => `__fish_seen_subcommand_from ${word}`)
    const when = path === '' ? '__fish_use_subcommand' : seen.join('; and ')
    return next.map(word => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-f -a ${word}`
      return `complete -c rollcall -n '${when}' ${what}`
    })
  })
  return `${lines.join('\n')}\n`
}

const scripts: Record<Shell, (words: Words) => string> = {
  bash,
  zsh: words => `#compdef rollcall\nautoload -U +X bashcompinit && bashcompinit\n${bash(words)}`,
  fish,
}
