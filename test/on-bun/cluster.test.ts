// Nodes over PostgreSQL and NATS.
import { runOnBun } from './shares.ts'

runOnBun('cluster')
