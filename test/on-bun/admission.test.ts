// Admission, threats, and races of a right and its end.
import { runOnBun } from './shares.ts'

runOnBun('admission')
