// Requests take turns: in one turn of the event loop so many handlers begin as fit into some milliseconds, and the rest wait
// for the next ones, each caller for its own. Urgent requests do not wait: however many others there are, one slice of their work lies before them.

import type { FastifyRequest } from 'fastify'
import type { Api } from '../http/api.ts'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import { createCallerQueue } from './caller-queue.ts'
import { addressOf } from './connection-bounds.ts'

type RequestSchedulingLimits = { turnMs: number; waitingMax: number; waitMs: number }

type Waiting = { since: number; request: FastifyRequest; begin(): void; refuse(problem: Problem): void }

const limits: RequestSchedulingLimits = { turnMs: 10, waitingMax: 5_000, waitMs: 20_000 }
/** Handlers begin in a callback each, so that one has done its first part before the clock is asked for the next. */
const CALLBACKS_A_TURN = 32

/** After the body is there, before it is validated. */
export function scheduleRequests(api: Api, { turnMs, waitingMax, waitMs } = limits): void {
  const waiting = createCallerQueue<Waiting>(waitingMax)
  let turnEnds = 0
  let turnScheduled = false

  function nextTurn(): void {
    if (turnScheduled) return
    turnScheduled = true
    setImmediate(() => {
      turnScheduled = false
      turnEnds = 0
      if (waiting.size() === 0) return
      beginTurn()
      for (let count = 0; count < CALLBACKS_A_TURN; count += 1) setImmediate(beginOne)
    })
  }

  function beginTurn(): void {
    turnEnds = performance.now() + turnMs
    nextTurn()
  }

  function beginOne(): void {
    const now = performance.now()
    if (now >= turnEnds) return
    const next = waiting.next()
    if (next === undefined) return
    if (now - next.since > waitMs) next.refuse(tooBusy(`it waited for ${waitMs / 1_000} s`))
    else if (next.request.raw.socket.destroyed) next.refuse(tooBusy('the caller went away'))
    else next.begin()
  }

  function turn(request: FastifyRequest): Promise<void> | undefined {
    if (turnEnds === 0) beginTurn()
    const now = performance.now()
    if (waiting.size() === 0 && now < turnEnds) return undefined
    const caller = request.holder?.id ?? addressOf(request.ip)
    return new Promise<void>((begin, refuse) => {
      const dropped = waiting.add(caller, { since: now, request, begin, refuse })
      dropped?.refuse(tooBusy(`${waitingMax} requests wait already`))
    })
  }

  api.addHook('preValidation', async request => {
    if (request.routeOptions.config.urgent !== true) await turn(request)
  })
}

function tooBusy(detail: string): Problem {
  return new Problem(httpProblems, 'service_busy', detail)
}
