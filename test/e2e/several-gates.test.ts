// Brokers on Node.
import { describeSeveralGates } from './several-gates.ts'

describeSeveralGates('node')
