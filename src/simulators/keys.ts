import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, randomInt } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { issueCertificate } from './certificate.ts'

export type PlatformPair = {
  serial: string
  key: string
  certificate: string
  effectiveTime: string
  expireTime: string
}

/** Everything both sides of the sandbox hold. Numbers are fixed and obviously fake; keys are made once. */
export type Credentials = {
  wechatPay: {
    mchid: string
    merchantSerial: string
    /** PKCS#8 PEM */
    merchantKey: string
    merchantCertificate: string
    apiV3Key: string
    apiV2Key: string
    publicKeyId: string
    /** SPKI PEM of the public-key mode (wechatpay.md 1.7) and its private half. */
    publicKey: string
    publicKeyPrivate: string
    /** Platform certificates, oldest first; the second one takes over on rotation. */
    platform: readonly [PlatformPair, PlatformPair]
    officialAccount: { appid: string; secret: string; openid: string }
    miniProgram: { appid: string; secret: string; openid: string }
  }
  huifu: {
    sysId: string
    productId: string
    huifuId: string
    /** Bare base64: PKCS#8 and SPKI. */
    merchantKey: string
    merchantPublicKey: string
    huifuPublicKey: string
    huifuPrivateKey: string
    webhookKey: string
  }
  shop: { apiKey: string; apiKeySha256: string; webhookSecret: string; webhookSecretPrevious: string }
  gateway: { notifySecret: string }
  /** Where each piece lies, by its name in the folder; empty when kept in memory. */
  files: Record<string, string>
}

/** Keeps named pieces of text; `fresh` tells whether a piece had to be made now. */
type Vault = {
  keep(name: string, make: () => string, remake?: boolean): { text: string; fresh: boolean }
  paths: Record<string, string>
}

const memoryVault = (): Vault => ({ keep: (_name, make) => ({ text: make(), fresh: true }), paths: {} })

/** Files are written once (0600 in folders of 0700) and read again on a restart. */
function folderVault(folder: string): Vault {
  const paths: Record<string, string> = {}
  return {
    paths,
    keep(name, make, remake = false) {
      const path = join(folder, name)
      paths[name] = path
      if (!remake && existsSync(path)) return { text: readFileSync(path, 'utf8'), fresh: false }
      const text = make()
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
      chmodSync(dirname(path), 0o700)
      writeFileSync(path, text, { mode: 0o600 })
      return { text, fresh: true }
    },
  }
}

const ALPHANUMERIC = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

const randomText = (length: number): string =>
  Array.from({ length }, () => ALPHANUMERIC.charAt(randomInt(ALPHANUMERIC.length))).join('')

/** node:crypto makes RSA keys in milliseconds where jsrsasign needs seconds (design.md 14). */
const newPrivateKey = (): string =>
  generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  }).privateKey

const publicPem = (privatePem: string): string =>
  createPublicKey(privatePem).export({ type: 'spki', format: 'pem' }).toString()

const bareBody = (pem: string): string => pem.replaceAll(/-----[A-Z ]+-----|\s/g, '')

const barePublic = (bare: string): string => {
  const key = createPrivateKey({ key: Buffer.from(bare, 'base64'), format: 'der', type: 'pkcs8' })
  return createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64')
}

function keyAndCertificate(
  vault: Vault,
  prefix: string,
  serial: string,
  name: string,
  years: [number, number],
): PlatformPair {
  const key = vault.keep(`${prefix}_key.pem`, newPrivateKey)
  const certificate = vault.keep(
    `${prefix}_cert.pem`,
    () => issueCertificate({ privateKey: key.text, publicKey: publicPem(key.text), serial, name, years }),
    key.fresh,
  )
  return {
    serial,
    key: key.text,
    certificate: certificate.text,
    effectiveTime: `${years[0]}-01-01T08:00:00+08:00`,
    expireTime: `${years[1]}-01-01T07:59:59+08:00`,
  }
}

function wechatPay(vault: Vault): Credentials['wechatPay'] {
  const merchantSerial = '5157F09EFDC096DE15EBE81A47057A7200000001'
  const merchant = keyAndCertificate(vault, 'wechat-pay/merchant', merchantSerial, '1900000000', [2024, 2044])
  const publicKeyPrivate = vault.keep('wechat-pay/public_key_private.pem', newPrivateKey)
  return {
    mchid: '1900000000',
    merchantSerial,
    merchantKey: merchant.key,
    merchantCertificate: merchant.certificate,
    apiV3Key: vault.keep('wechat-pay/apiv3_key.txt', () => randomText(32)).text,
    apiV2Key: vault.keep('wechat-pay/apiv2_key.txt', () => randomText(32)).text,
    publicKeyId: 'PUB_KEY_ID_0119000000002026010100000000000001',
    publicKey: vault.keep('wechat-pay/public_key.pem', () => publicPem(publicKeyPrivate.text), publicKeyPrivate.fresh)
      .text,
    publicKeyPrivate: publicKeyPrivate.text,
    platform: [
      keyAndCertificate(
        vault,
        'wechat-pay/platform',
        '5157F09EFDC096DE15EBE81A47057A72A0000001',
        'platform.sim.invalid',
        [2024, 2044],
      ),
      keyAndCertificate(
        vault,
        'wechat-pay/platform_next',
        '5157F09EFDC096DE15EBE81A47057A72A0000002',
        'platform.sim.invalid',
        [2025, 2045],
      ),
    ],
    officialAccount: {
      appid: 'wx00000000000000a1',
      secret: vault.keep('wechat-pay/mp_secret.txt', () => randomBytes(16).toString('hex')).text,
      openid: 'oSIM-mp-payer-000000000001',
    },
    miniProgram: {
      appid: 'wx00000000000000b1',
      secret: vault.keep('wechat-pay/mini_secret.txt', () => randomBytes(16).toString('hex')).text,
      openid: 'oSIM-mini-payer-00000001',
    },
  }
}

function huifu(vault: Vault): Credentials['huifu'] {
  const merchant = vault.keep('huifu/merchant_key.txt', () => bareBody(newPrivateKey()))
  const provider = vault.keep('huifu/huifu_private_key.txt', () => bareBody(newPrivateKey()))
  return {
    sysId: '6666000100000000',
    productId: 'SIMPAY',
    huifuId: '6666000100000001',
    merchantKey: merchant.text,
    merchantPublicKey: vault.keep('huifu/merchant_public.txt', () => barePublic(merchant.text), merchant.fresh).text,
    huifuPublicKey: vault.keep('huifu/huifu_public_key.txt', () => barePublic(provider.text), provider.fresh).text,
    huifuPrivateKey: provider.text,
    webhookKey: vault.keep('huifu/webhook_key.txt', () => randomText(32)).text,
  }
}

function shop(vault: Vault): Credentials['shop'] {
  const secret = (): string => `whsec_${randomBytes(32).toString('base64')}`
  const apiKey = vault.keep('shop/api_key.txt', () => `gw_test_${randomText(43)}`)
  const sha256 = (): string => createHash('sha256').update(apiKey.text).digest('hex')
  return {
    apiKey: apiKey.text,
    apiKeySha256: vault.keep('shop/api_key.sha256', sha256, apiKey.fresh).text,
    webhookSecret: vault.keep('shop/webhook_secret.txt', secret).text,
    webhookSecretPrevious: vault.keep('shop/webhook_secret_previous.txt', secret).text,
  }
}

let inMemory: Omit<Credentials, 'files'> | undefined

const makeAll = (vault: Vault): Omit<Credentials, 'files'> => ({
  wechatPay: wechatPay(vault),
  huifu: huifu(vault),
  shop: shop(vault),
  gateway: { notifySecret: vault.keep('gateway/notify_secret.txt', () => randomBytes(32).toString('hex')).text },
})

/**
 * Sandbox key material. With a folder, files are created once and read again; without one it lives in memory and is
 * made once per process, since six RSA keys cost about a second.
 * @param folder absolute or relative path of the folder, or undefined
 */
export function makeCredentials(folder?: string): Credentials {
  if (folder === undefined) {
    inMemory ??= makeAll(memoryVault())
    return { ...inMemory, files: {} }
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  chmodSync(folder, 0o700)
  const vault = folderVault(folder)
  const made = makeAll(vault)
  return { ...made, files: vault.paths }
}

/** What a stranger needs to use the simulators as if they were the real services; the providers' private keys stay out. */
export function openCredentials(credentials: Credentials, urls: { apiUrl: string; controlUrl: string }): object {
  const { publicKeyPrivate: _private, platform, ...wechat } = credentials.wechatPay
  const { huifuPrivateKey: _huifuPrivate, merchantPublicKey: _merchantPublic, ...huifuOpen } = credentials.huifu
  return {
    note: 'Sandbox only. Every number is fake and every key was made on this machine.',
    ...urls,
    wechatPay: { ...wechat, platform: platform.map(({ key: _key, ...open }) => open), baseUrl: urls.apiUrl },
    huifu: { ...huifuOpen, baseUrl: urls.apiUrl },
    shop: credentials.shop,
    gateway: credentials.gateway,
    files: credentials.files,
  }
}
