import {
  loginCode,
  openSession,
  readOrder,
  Refused,
  reportFailure,
  startPayment,
  Unreachable,
  type OrderView,
  type PaymentParameters,
} from './gateway'

/**
 * One payer's visit: from a launch token to an order that the gateway calls paid. What wx.requestPayment says is a hint;
 * `paid` is shown only when the gateway said so.
 */

export type State =
  | 'opening'
  | 'ready'
  | 'creating'
  | 'invoking'
  | 'confirming'
  | 'slow'
  | 'paid'
  | 'cancelled'
  | 'failed'
  | 'expired'
  | 'taken'
  | 'refused'
  | 'offline'
  | 'missing'

export type Visit = {
  readonly token: string
  /** Opens the order; again after a failure. */
  begin(): Promise<void>
  /** The payer's tap. Further taps while one is being dealt with do nothing. */
  pay(): Promise<void>
  /** The payer's "check the result". */
  check(): Promise<void>
  /** The page is in front again: what happened meanwhile is asked. */
  wake(): Promise<void>
  /** Another visit has begun; whatever still comes of this one is not shown. */
  end(): void
}

/** Milliseconds before each look, after the device said … */
const plans = {
  ok: [0, 1000, 1000, 2000, 3000, 5000, 5000],
  cancel: [0, 1200],
  fail: [0, 1200],
  wake: [0, 1200],
}

const busy: readonly State[] = ['opening', 'creating', 'invoking', 'confirming']
const final: readonly State[] = ['paid', 'expired', 'taken', 'refused']

export function createVisit(token: string, show: (state: State, order: OrderView | undefined) => void): Visit {
  let state: State = 'opening'
  let order: OrderView | undefined
  let session = ''
  /** The device said "ok": until the gateway knows better, nobody is offered to pay again. */
  let saidOk = false
  let ended = false

  const enter = (next: State) => {
    // Paid wins from anywhere, and is left for nothing.
    if (ended || state === 'paid') return
    state = next
    show(state, order)
  }

  const learn = (seen: OrderView): boolean => {
    order = seen
    if (seen.status === 'paid') enter('paid')
    else if (!seen.payable) enter('expired')
    return seen.status === 'paid' || !seen.payable
  }

  async function login(): Promise<void> {
    const opened = await openSession(token, await loginCode())
    session = opened.session
    order = opened.order
  }

  /** Runs a step; what the gateway refuses becomes a state, and an ended session is opened again once. */
  async function attempt(step: () => Promise<void>, again = true): Promise<void> {
    try {
      if (session === '') await login()
      await step()
    } catch (error) {
      if (error instanceof Unreachable) return enter('offline')
      if (!(error instanceof Refused)) throw error
      if (again && (error.code === 'session-expired' || error.code === 'openid-rejected')) {
        session = ''
        return attempt(step, false)
      }
      if (again && error.code === 'rate-limited') {
        await pause(1000 * Math.max(1, error.retryAfter))
        return attempt(step, false)
      }
      if (error.code === 'order-not-payable') return confirm('wake')
      enter(stateOf(error.code))
    }
  }

  /** Looks until the gateway knows, or the plan is over. */
  async function confirm(said: keyof typeof plans): Promise<void> {
    if (said === 'ok') saidOk = true
    const hint = saidOk ? 'ok' : said
    enter('confirming')
    await attempt(async () => {
      for (const delay of plans[hint]) {
        if (delay > 0) await pause(delay)
        if (ended) return
        const seen = await readOrder(session, hint)
        if (learn(seen.order)) return
      }
      enter(hint === 'ok' ? 'slow' : hint === 'cancel' ? 'cancelled' : hint === 'fail' ? 'failed' : 'ready')
    })
  }

  async function invoke(parameters: PaymentParameters): Promise<void> {
    enter('invoking')
    const answer = await requestPayment(parameters)
    if (answer.result !== 'fail') return confirm(answer.result)
    enter('confirming')
    // Told first, because WeChat's refusal of this way of paying has a cure of its own.
    const { order: seen } = await reportFailure(session, answer.failure)
    if (!learn(seen)) await confirm('fail')
  }

  return {
    token,
    async begin() {
      enter('opening')
      await attempt(async () => {
        if (order === undefined || !learn(order)) enter('ready')
      })
    },
    async pay() {
      // After "ok" without confirmation nobody is offered to pay again: the money may be on its way.
      if (busy.includes(state) || final.includes(state) || state === 'slow') return
      enter('creating')
      await attempt(async () => invoke((await startPayment(session)).payment))
    },
    async check() {
      if (busy.includes(state) || final.includes(state)) return
      await confirm('wake')
    },
    async wake() {
      // While WeChat's sheet is open its own answer decides what is asked; ready and final need nothing.
      if (state === 'slow' || state === 'offline') await this.check()
    },
    end() {
      ended = true
    },
  }
}

function stateOf(code: string): State {
  if (code === 'launch-expired') return 'expired'
  if (code === 'launch-taken') return 'taken'
  return code === 'launch-scene-refused' || code === 'method-unavailable' ? 'refused' : 'failed'
}

type Answer = { result: 'ok' | 'cancel' } | { result: 'fail'; failure: { errmsg: string; errno?: number } }

function requestPayment(parameters: PaymentParameters): Promise<Answer> {
  return new Promise((resolve) => {
    wx.requestPayment({
      ...parameters,
      success: () => resolve({ result: 'ok' }),
      fail: (error: { errMsg: string; errno?: number }) => {
        if (/cancel/.test(error.errMsg)) return resolve({ result: 'cancel' })
        const errmsg = error.errMsg.slice(0, 512)
        resolve({ result: 'fail', failure: error.errno === undefined ? { errmsg } : { errmsg, errno: error.errno } })
      },
    })
  })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
