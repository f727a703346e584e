// Nodes over PostgreSQL and NATS. On demand: these take as long as half of all other shares, and most of it in PostgreSQL.
import { runOnBun } from './shares.ts'

runOnBun('cluster', process.env['ROLLCALL_BUN_TESTS'] !== 'all' && 'on demand: npm run test:bun')
