// HTML that escapes by default: a value in html`…` is text unless html`…` made it.

export type Markup = { readonly markup: string }
export type Content = Markup | string | number | null | false | readonly Content[]

export function html(strings: TemplateStringsArray, ...contents: Content[]): Markup {
  return { markup: strings.map((text, index) => text + rendered(contents[index] ?? null)).join('') }
}

/** For the report's own scripts and styles. Never for a value of a run. */
export function verbatim(markup: string): Markup {
  return { markup }
}

/** JSON inside a script element, where `</script>` and `<!--` would end or change it. */
export function jsonText(value: unknown): Markup {
  return { markup: JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, unicodeEscape) }
}

function rendered(content: Content): string {
  if (content === null || content === false) return ''
  if (Array.isArray(content)) return content.map(rendered).join('')
  if (typeof content === 'object') return (content as Markup).markup
  return String(content).replace(/[&<>"'`]/g, sign => `&#${sign.charCodeAt(0)};`)
}

function unicodeEscape(sign: string): string {
  return `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`
}
