/*
 * The cashier's states as a pure table (experience.md 2.3): what the page shows depends on this file and on the server's
 * answers, and on nothing else. A move that the table does not know is ignored, and `paid` wins from anywhere.
 */

export type State =
  | 'ready'
  | 'creating'
  | 'invoking'
  | 'confirming'
  | 'slow'
  | 'paid'
  | 'cancelled'
  | 'failed'
  | 'expired'
  | 'offline'
  | 'other'
  | 'outside'

/** `unpaid` is the server's word that nothing has been paid, after as many questions as the cause deserves. */
export type Happening =
  'tap' | 'prepared' | 'answered' | 'woken' | 'unpaid' | 'paid' | 'expired' | 'refused' | 'lost' | 'taken'

/** Why the result is being asked for: it decides how often, and what an unpaid order means. */
export type Cause = 'ok' | 'cancel' | 'fail' | 'wake' | 'lost' | 'look'

/** What an unpaid order turns into, by why we asked. After `ok` money may have moved: no button to pay again. */
export const unpaidAfter: Readonly<Record<Cause, State>> = {
  ok: 'slow',
  cancel: 'cancelled',
  fail: 'failed',
  wake: 'ready',
  lost: 'ready',
  look: 'ready',
}

/** When the server is asked after each cause, milliseconds before each question (experience.md 2.5, design.md 20.12). */
export const plans: Readonly<Record<Cause, readonly number[]>> = {
  ok: [0, 800, 1000, 1500, 2000, 3000, 4000, 5000],
  // The second question reaches the provider only when two seconds lie between.
  cancel: [0, 2100],
  fail: [0, 2100],
  wake: [0, 2100],
  lost: [0],
  look: [0],
}

type Row = Partial<Record<Happening, State>>

const ended: Row = { paid: 'paid' }
const asks: Row = { answered: 'confirming', woken: 'confirming', paid: 'paid', expired: 'expired', lost: 'offline' }
const payable: Row = { ...asks, tap: 'creating', taken: 'other', refused: 'failed' }

const table: Readonly<Record<State, Row>> = {
  ready: payable,
  cancelled: payable,
  failed: payable,
  creating: { ...asks, prepared: 'invoking', refused: 'failed', taken: 'other' },
  invoking: asks,
  // What an unpaid order means here depends on the cause, see `unpaidAfter`.
  confirming: { answered: 'confirming', paid: 'paid', expired: 'expired', lost: 'offline', taken: 'other' },
  slow: { answered: 'confirming', woken: 'confirming', paid: 'paid', expired: 'expired', lost: 'offline' },
  offline: { answered: 'confirming', woken: 'confirming', paid: 'paid', expired: 'expired' },
  other: { woken: 'confirming', paid: 'paid', expired: 'expired', lost: 'offline' },
  outside: { paid: 'paid', expired: 'expired' },
  paid: {},
  expired: ended,
}

/**
 * The state after a happening; the same state when the happening means nothing there.
 * @param cause why the result is being asked for; only an unpaid answer while confirming needs it
 */
export function next(state: State, happening: Happening, cause: Cause): State {
  if (happening === 'unpaid') return state === 'confirming' ? unpaidAfter[cause] : state
  return table[state][happening] ?? state
}

/** May the payer tap the button that pays? */
export function mayPay(state: State): boolean {
  return table[state].tap !== undefined
}

export const states = Object.keys(table) as readonly State[]
