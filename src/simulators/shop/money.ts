/** Fen as yuan for people, by text arithmetic: 88 → ¥0.88. */
export function yuan(fen: number): string {
  const digits = String(fen).padStart(3, '0')
  const whole = digits.slice(0, -2).replaceAll(/\B(?=(\d{3})+$)/g, ',')
  return `¥${whole}.${digits.slice(-2)}`
}

/** The same without sign and separators, as an input field wants it: 1234 → 12.34. */
export function plainYuan(fen: number): string {
  const digits = String(fen).padStart(3, '0')
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`
}

/** Fen of what a person typed, or undefined: 0.3 → 30. */
export function fenOf(text: string): number | undefined {
  const match = /^(\d{1,7})(?:\.(\d{1,2}))?$/.exec(text.trim())
  if (match === null) return undefined
  return Number.parseInt(`${match[1] ?? ''}${(match[2] ?? '').padEnd(2, '0')}`, 10)
}
