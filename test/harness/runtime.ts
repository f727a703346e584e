// Tests that mean something on one runtime only: test/on-bun/ runs those of the broker on Bun, client and broker alike.
import { onBun } from '../../admin/runtime.ts'

/** Value of a test's `skip`: on Bun why it is left out there, on Node false. */
export function notOnBun(why: string): string | false {
  return onBun && `on Bun: ${why}`
}
