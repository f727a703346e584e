// Brokers on Bun, their gates too.
import { describeSeveralGates } from './several-gates.ts'

describeSeveralGates('bun')
