import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { canonicalText, readJson, sortedJson, writeNode, type ObjectNode } from '../../src/simulators/huifu/json.ts'
import { formBody, javaFormEncode } from '../../src/simulators/huifu/notices.ts'
import { createSigning, type Signing } from '../../src/simulators/huifu/signing.ts'

/** The published examples of huifu-dougong.md Appendix A against the simulator's own signing code. */
const load = <Shape>(name: string): Shape =>
  JSON.parse(readFileSync(new URL(`huifu/${name}.json`, import.meta.url), 'utf8')) as Shape

type Pair = { privateKey: string; publicKey: string }
type Signed = { canonical: string; sign: string }

const keys = load<{ merchant: Pair; huifu: Pair }>('keys')
const v1 = load<Signed & { input: string; bytes: number; sha256: string }>('v1')
const v2 = load<{ input: string; keepEmpty: Signed; dropEmpty: Signed }>('v2')
const v3 = load<{ body: string }>('v3')
const v4 = load<{ ack: string; type1: { body: string }; type2: { respData: string; sign: string } }>('v4')
const real = load<Signed & { huifuPublicKey: string; md5: { key: string; digest: string } }>('real')
const v5 = load<{ key: string; sign: string; body: string }>('v5')
const v6 = load<{ raw: string; sign: string; mustFail: string }>('v6')
const v7 = load<Signed & { mustFail: string }>('v7')

function objectOf(text: string): ObjectNode {
  const node = readJson(text)
  if (node.kind !== 'object') throw new TypeError('not an object')
  return node
}

/** How PHP transmits: `\/` for slashes and `\uXXXX` for everything outside ASCII (huifu-dougong.md 2.2). */
const phpEscaped = (text: string): string =>
  text
    .replace(/\//g, '\\/')
    .replace(/[^\x20-\x7e]/g, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`)

for (const fast of [false, true]) {
  describe(`huifu vectors, simulator on ${fast ? 'node:crypto' : 'jsrsasign'}`, () => {
    const merchant: Signing = createSigning(keys.merchant, fast)
    const huifu: Signing = createSigning(keys.huifu, fast)
    const foreign: Signing = createSigning(
      { privateKey: keys.merchant.privateKey, publicKey: real.huifuPublicKey },
      fast,
    )

    it('V1: canonicalises the create request to the published bytes and signature', () => {
      const text = canonicalText(readJson(v1.input))
      expect(text).to.equal(v1.canonical)
      expect(Buffer.byteLength(text)).to.equal(v1.bytes)
      expect(createHash('sha256').update(text).digest('hex')).to.equal(v1.sha256)
      expect(merchant.sign(text)).to.equal(v1.sign)
      expect(merchant.verify(text, v1.sign)).to.equal(true)
      expect(huifu.verify(text, v1.sign)).to.equal(false)
    })

    it('V1: the escaping PHP transmits canonicalises to the same text', () => {
      expect(phpEscaped(v1.input)).to.not.equal(v1.input)
      expect(canonicalText(readJson(phpEscaped(v1.input)))).to.equal(v1.canonical)
    })

    it('V2: null is dropped, an empty string is signed exactly when it was sent', () => {
      expect(canonicalText(readJson(v2.input))).to.equal(v2.keepEmpty.canonical)
      const members = objectOf(v2.input).members.filter(([, node]) => node.kind !== 'string' || node.text !== '')
      expect(canonicalText({ kind: 'object', members })).to.equal(v2.dropEmpty.canonical)
      for (const { canonical, sign } of [v2.keepEmpty, v2.dropEmpty]) {
        expect(merchant.sign(canonical)).to.equal(sign)
        expect(merchant.verify(canonical, sign)).to.equal(true)
      }
      expect(merchant.verify(v2.keepEmpty.canonical, v2.dropEmpty.sign)).to.equal(false)
    })

    it('V3: the answer is reproduced byte for byte, signature included', () => {
      const raw = /^\{"data":(\{.*\}),"sign":"([^"]+)"\}$/.exec(v3.body)
      expect(raw).to.not.equal(null)
      const [, data = '', sign = ''] = raw ?? []
      expect(sortedJson(JSON.parse(data) as Record<string, string>)).to.equal(data)
      expect(huifu.sign(data)).to.equal(sign)
      expect(`{"data":${data},"sign":"${huifu.sign(data)}"}`).to.equal(v3.body)
      expect(huifu.verify(data.replace('0.10', '0.11'), sign)).to.equal(false)
    })

    it('V4: both notifications are reproduced, Java form encoding and member order included', () => {
      const form = new URLSearchParams(v4.type1.body)
      const respData = form.get('resp_data') ?? ''
      expect(formBody(respData, huifu.sign(respData))).to.equal(v4.type1.body)
      expect(javaFormEncode("a b*c~d!'()/中")).to.equal('a+b*c%7Ed%21%27%28%29%2F%E4%B8%AD')
      expect(huifu.sign(v4.type2.respData)).to.equal(v4.type2.sign)
      for (const text of [respData, v4.type2.respData]) {
        expect(sortedJson(JSON.parse(text) as Record<string, string>)).to.equal(text)
        expect(v4.ack).to.equal(`RECV_ORD_ID_${(JSON.parse(text) as { req_seq_id: string }).req_seq_id}`)
      }
    })

    it('A.6: the real answer of 2022 verifies with the published demo key, and with no other', () => {
      expect(canonicalText(readJson(real.canonical))).to.equal(real.canonical)
      expect(foreign.verify(real.canonical, real.sign)).to.equal(true)
      expect(huifu.verify(real.canonical, real.sign)).to.equal(false)
      expect(huifu.webhookSign(real.canonical, real.md5.key)).to.equal(real.md5.digest.toUpperCase())
    })

    it('V5: the webhook signature covers the raw body, unquoted 0.10 included', () => {
      expect(huifu.webhookSign(v5.body, v5.key)).to.equal(v5.sign)
      expect(huifu.webhookSign(JSON.stringify(JSON.parse(v5.body)), v5.key)).to.not.equal(v5.sign)
    })

    it('V6: numbers keep their spelling', () => {
      expect(canonicalText(readJson(v6.raw))).to.equal(v6.raw)
      expect(huifu.sign(v6.raw)).to.equal(v6.sign)
      expect(JSON.stringify(JSON.parse(v6.raw))).to.equal(v6.mustFail)
      expect(huifu.verify(v6.mustFail, v6.sign)).to.equal(false)
    })

    it('V7: only the first level is sorted', () => {
      expect(canonicalText(readJson(v7.canonical))).to.equal(v7.canonical)
      expect(merchant.sign(v7.canonical)).to.equal(v7.sign)
      expect(merchant.verify(v7.mustFail, v7.sign)).to.equal(false)
      expect(canonicalText(readJson('{"b":{"z":"1","a":"2"},"a":"x"}'))).to.equal(v7.canonical)
    })

    it('refuses signatures of the wrong size or alphabet without looking further', () => {
      for (const sign of ['', 'AAAA', `${v1.sign}\n`, ` ${v1.sign}`, v1.sign.replace(/./, '-'), v1.sign.slice(4)]) {
        expect(merchant.verify(v1.canonical, sign), JSON.stringify(sign)).to.equal(false)
      }
    })
  })
}

describe('huifu lossless JSON', () => {
  it('refuses what two readers could read differently', () => {
    const bad = ['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"a":01}', '{"a":1,}', '[1,]', '{"a":1} x', "{'a':1}", '']
    for (const text of [...bad, `${'['.repeat(40)}${']'.repeat(40)}`, '{"a":"\n"}']) {
      expect(() => readJson(text), text).to.throw(SyntaxError)
    }
  })

  it('keeps __proto__ and number-like keys as members in their order', () => {
    const text = '{"__proto__":"x","10":"a","9":"b"}'
    expect(writeNode(readJson(text))).to.equal(text)
    expect(canonicalText(readJson(text))).to.equal('{"10":"a","9":"b","__proto__":"x"}')
  })
})
