import { setTimeout as sleep } from 'node:timers/promises'

/** A small client of the merchant API, for commands that act as a merchant would. */
export type Json = Readonly<Record<string, unknown>>
export type ApiAnswer = { readonly status: number; readonly body: Json }
export type Api = { call(method: 'GET' | 'POST', path: string, body?: object): Promise<ApiAnswer> }

/** The value as an object, or an empty one. */
export const objectOf = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : {}

/** The value as a list of objects, or an empty one. */
export const listOf = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.map(objectOf) : [])

/** Text of a field; empty when it is anything else. */
export const textOf = (object: Json, name: string): string => {
  const value = object[name]
  return typeof value === 'string' ? value : ''
}

/** Whole number of a field; 0 when it is anything else. */
export const wholeOf = (object: Json, name: string): number => {
  const value = object[name]
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : 0
}

const tries = 8

/** Statuses after which the same request may be sent again: it is idempotent by the merchant's own numbers. */
const again = new Set([429, 500, 502, 503, 504])

/**
 * Opens the merchant API.
 * @param url of the gateway
 * @param apiKey the merchant's key
 */
export function createApi(url: string, apiKey: string): Api {
  const headers = { Authorization: `Bearer ${apiKey}`, 'Content-Type': 'application/json' }
  return {
    async call(method, path, body) {
      for (let tried = 1; ; tried += 1) {
        const response = await fetch(new URL(path, url), {
          method,
          headers,
          redirect: 'error',
          signal: AbortSignal.timeout(30_000),
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        })
        const answer = { status: response.status, body: objectOf(await response.json().catch(() => undefined)) }
        if (!again.has(answer.status) || tried >= tries) return answer
        await sleep(250 * tried)
      }
    },
  }
}
