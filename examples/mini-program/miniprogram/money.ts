/** Currencies without a smaller unit. */
const whole = ['JPY', 'KRW']

/** An amount in minor units as people read it, by text arithmetic: 123456 CNY is ¥1,234.56. */
export function amountText(amount: number, currency: string): string {
  const digits = whole.includes(currency) ? 0 : 2
  const text = String(amount).padStart(digits + 1, '0')
  const units = text.slice(0, text.length - digits).replace(/\B(?=(?:\d{3})+$)/g, ',')
  const parts = digits === 0 ? units : `${units}.${text.slice(-digits)}`
  return currency === 'CNY' ? `¥${parts}` : `${currency} ${parts}`
}
