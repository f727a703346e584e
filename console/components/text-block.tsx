// Text to read or copy as it is. Reached by the keyboard, since it may have to be scrolled.

export function TextBlock({ label, text, low = false }: { label: string; text: string; low?: boolean }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached without a mouse
    <section className="text-block" aria-label={label} tabIndex={0}>
      <pre className={`text ${low ? 'low' : ''}`}>{text}</pre>
    </section>
  )
}
