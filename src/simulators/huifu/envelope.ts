import type { SimRequest, SimResponse } from '../http.ts'
import type { Version } from './books.ts'
import { hasIllegalCharacters } from './fields.ts'
import { canonicalText, memberOf, readJson, sortedJson, type Node, type ObjectNode, type Plain } from './json.ts'
import type { Office } from './office.ts'

/** The business part of an answer, before it is sorted and signed. */
export type AnswerData = { readonly [key: string]: Plain | undefined; resp_code: string; resp_desc: string }

/** Requests and answers stay below ten megabytes (huifu-dougong.md 1.2). */
const LARGEST_BODY = 10 * 1024 * 1024

const HEADERS = { 'Content-Type': 'application/json;charset=UTF-8' }

/** Something the gateway in front of Huifu's services says. It carries no signature (huifu-dougong.md 1.5, 1.6). */
export function gatewayAnswer(status: number, code: string, text: string): SimResponse {
  return { status, headers: HEADERS, body: sortedJson({ resp_code: code, resp_desc: text }) }
}

/** A refusal that names its request, so that every answer can be matched to what was asked (huifu-dougong.md 18.2). */
export function refusal(data: ObjectNode | undefined, code: string, text: string): AnswerData {
  const echo: Record<string, Plain> = {}
  for (const name of ['req_date', 'req_seq_id', 'huifu_id']) {
    const member = data === undefined ? undefined : memberOf(data, name)
    if (member?.kind === 'string') echo[name] = member.text
  }
  return { ...echo, resp_code: code, resp_desc: text }
}

/**
 * Signs the canonical bytes and embeds exactly those bytes, because some SDKs verify what they received without
 * parsing it (huifu-dougong.md 18.2).
 */
export function signedAnswer(
  office: Office,
  data: AnswerData,
  spoil: { unsigned: boolean; badSignature: boolean } = { unsigned: false, badSignature: false },
): SimResponse {
  const text = sortedJson(data)
  const shown = office.options.unsortedAnswers ? reversed(text) : text
  if (spoil.unsigned) return { status: 200, headers: HEADERS, body: `{"data":${shown}}` }
  const signature = office.signing.sign(spoil.badSignature ? `${text} ` : text)
  return { status: 200, headers: HEADERS, body: `{"data":${shown},"sign":"${signature}"}` }
}

function reversed(text: string): string {
  const node = readJson(text)
  if (node.kind !== 'object') return text
  const members = node.members.toReversed().map(([key, value]) => `${JSON.stringify(key)}:${canonicalText(value)}`)
  return `{${members.join(',')}}`
}

/** A request whose envelope and signature are in order. */
export type Opened = { readonly data: ObjectNode; readonly version: Version }

const stringIn = (node: ObjectNode, name: string): string | undefined => {
  const member = memberOf(node, name)
  return member?.kind === 'string' && member.text !== '' ? member.text : undefined
}

function parseBody(body: Buffer): Node | undefined {
  try {
    return readJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body))
  } catch {
    return undefined
  }
}

/**
 * Steps 1 to 5 of huifu-dougong.md 18.1: transport, envelope, signature over the losslessly canonicalised `data`,
 * ownership of the merchant, headers. Returns the opened request, or the answer that refuses it.
 */
export function openEnvelope(office: Office, request: SimRequest, version: Version): Opened | SimResponse {
  const type = request.headers['content-type']
  const node = request.body.length > LARGEST_BODY ? undefined : parseBody(request.body)
  if (node?.kind !== 'object' || (type !== undefined && !/^application\/json\b/i.test(type))) {
    return gatewayAnswer(412, '40001', '请求报文格式错误')
  }
  const data = memberOf(node, 'data')
  const [sysId, productId, signature] = ['sys_id', 'product_id', 'sign'].map((name) => stringIn(node, name))
  if (data?.kind !== 'object' || sysId === undefined || productId === undefined || signature === undefined) {
    return gatewayAnswer(200, '40001', '参数错误')
  }
  if (node.members.length !== 4) return gatewayAnswer(200, '40001', '参数错误')
  if (hasIllegalCharacters(data)) return gatewayAnswer(412, '40001', '请求报文包含非法字符')
  const { identity, options } = office
  if (sysId !== identity.sysId) return gatewayAnswer(200, '20001', '权限不足')
  if (productId !== identity.productId) return signedAnswer(office, refusal(data, '22000000', '产品号不存在或状态异常'))
  if (!office.signing.verify(canonicalText(data), signature)) {
    return gatewayAnswer(options.softSignatureError ? 200 : 922, '40002', '签名失败')
  }
  const huifuId = stringIn(data, 'huifu_id')
  if (huifuId !== undefined && huifuId !== identity.huifuId) {
    return signedAnswer(office, refusal(data, '23000002', '数据权限认证失败'))
  }
  if (options.strictHeaders && !headersAreRight(request, huifuId)) return gatewayAnswer(200, '20001', '权限不足')
  return { data, version }
}

const headersAreRight = (request: SimRequest, huifuId: string | undefined): boolean =>
  (request.headers['jpt-x-skill-source'] ?? '') !== '' && request.headers['jpt-x-skill-huifu_id'] === huifuId
