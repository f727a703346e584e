// What the engine does with sessions and messages.
import { runOnBun } from './shares.ts'

runOnBun('mqtt')
