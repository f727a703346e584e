// Every problem that the registration authority may refuse with: of the request, of our CA, of the roll, of enrollment.
import { caProblems } from '../ca/ca-problems.ts'
import { rollProblems } from '../http/roll-problems.ts'
import { x509Problems } from '../x509/x509-problems.ts'
import { enrollmentProblems } from './enrollment-problems.ts'

export const issuanceProblems = { ...x509Problems, ...caProblems, ...rollProblems, ...enrollmentProblems }
