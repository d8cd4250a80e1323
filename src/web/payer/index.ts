/*
 * mortise/payer: paying inside WeChat from a page or a mini-program of your own. No dependency; ES2018.
 * What the payer's device says is a hint that starts a question to your server; only its answer can be `paid`.
 */
export { bridgeReady, invokePay, type BridgeAnswer, type JsapiParameters } from './bridge.ts'
export { payInWechat, type H5Outcome, type PayInWechat } from './h5.ts'
export { payInMiniProgram, type MiniProgram, type MiniProgramParameters, type PayInMiniProgram } from './mini.ts'
export type { Confirm, Hint, Outcome, ServerStatus } from './settle.ts'
