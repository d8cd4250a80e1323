import type { Credentials } from '../keys.ts'

/** Somebody who holds the phone. WeChat knows one person by one openid per application (wechatpay.md 5.2). */
export type Person = { id: 'a' | 'b'; name: string; officialAccount: string; miniProgram: string }

/** Two people: most mistakes of a payment page need only one more than its author thought of. */
export function peopleOf({ officialAccount, miniProgram }: Credentials['wechatPay']): readonly [Person, Person] {
  return [
    { id: 'a', name: 'Payer A', officialAccount: officialAccount.openid, miniProgram: miniProgram.openid },
    {
      id: 'b',
      name: 'Payer B',
      officialAccount: 'oSIM-mp-payer-000000000002',
      miniProgram: 'oSIM-mini-payer-00000002',
    },
  ]
}

export const PERSON_COOKIE = 'sim_wechat_person'

/** Who looks at the page, by the fake browser's own cookie; the first person unless somebody chose. */
export function personOf(people: readonly [Person, Person], cookies: string | undefined): Person {
  const chosen = /(?:^|;\s*)sim_wechat_person=([ab])(?:;|$)/.exec(cookies ?? '')?.[1]
  return people.find((one) => one.id === chosen) ?? people[0]
}
