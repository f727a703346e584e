// The keys of the console, as the overlay lists them.
export const shortcuts: readonly { keys: readonly string[]; does: string }[] = [
  { keys: ['Ctrl', 'K'], does: 'open the palette: pages, saved views, devices' },
  { keys: ['/'], does: 'find a device' },
  { keys: ['?'], does: 'show these keys' },
  { keys: ['j'], does: 'go down in a list of devices' },
  { keys: ['k'], does: 'go up in it' },
  { keys: ['Enter'], does: 'open the device' },
  { keys: ['x'], does: 'choose the device' },
  { keys: ['Esc'], does: 'leave a dialog or the menu' },
]

/** Whether a key pressed there is text or belongs to a dialog. */
export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof Element &&
    target.closest('input:not([type=checkbox]), textarea, select, [contenteditable], dialog') !== null
  )
}
