// TLS, limits, WebSocket and PROXY headers, and gate workers.
import { runOnBun } from './shares.ts'

runOnBun('gate')
