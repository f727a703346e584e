// What no other share has.
import { runOnBun } from './shares.ts'

runOnBun('others')
