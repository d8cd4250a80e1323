import type { Knex } from 'knex'
import { resolveSettings } from './config/load.ts'
import type { Channel, Channels } from './context.ts'
import type { Log, Provider, ProviderFactory } from './core/provider.ts'
import type { Transport } from './core/transport.ts'
import { hmacSha256, sameSecret } from './crypto/digest.ts'
import { insertSettings, settingsVersion, settingsVersions } from './store/channel-settings.ts'
import { isDuplicate } from './store/connect.ts'
import type { ChannelSettingsRow } from './store/rows.ts'

/** A channel as the configuration has it: settings with their secrets still as references. */
export type ConfiguredChannel = {
  readonly provider: string
  readonly sandbox: boolean
  /** How native apps pay; `miniprogram` where nothing is said. */
  readonly appLaunch?: Channel['appLaunch']
  readonly settings: unknown
  /** SHA-256 over the channel as configured, references and all. */
  readonly settingsDigest: string
}

export type ChannelsOptions = {
  readonly db: Knex
  readonly registry: Readonly<Record<string, ProviderFactory>>
  readonly transport: Transport
  readonly now: () => number
  readonly log: Log
  readonly timeScale: number
  readonly publicUrl: string
  /** Key of the path segments of notification URLs (design.md 20.6). */
  readonly notifySecret: string
  /** Folder that `file:` references are relative to. */
  readonly baseFolder: string
}

export type LiveChannels = Channels & {
  /**
   * Takes over a new set of channels: all of them, or none. A changed channel becomes a new version; attempts of the old
   * one keep it (design.md 11).
   * @throws Error listing every channel that cannot be built
   */
  apply(configured: Readonly<Record<string, ConfiguredChannel>>): Promise<void>
  close(): void
}

/** How many older versions of a channel a message at its door is tried against. */
const versionsAtDoor = 4

/** Channels, in every version that an attempt may still need. */
export function createChannels(options: ChannelsOptions): LiveChannels {
  const built = new Map<string, Channel | undefined>()
  const versionsOf = new Map<string, readonly number[]>()
  let current: ReadonlyMap<string, Channel> = new Map()

  function segmentOf(channelId: string): string {
    return hmacSha256(options.notifySecret, channelId).toString('base64url').slice(0, 22)
  }

  function build(channelId: string, version: number, configured: Omit<ConfiguredChannel, 'settingsDigest'>): Channel {
    const factory = options.registry[configured.provider]
    if (factory === undefined) throw new Error(`unknown provider ${configured.provider}`)
    const provider: Provider = factory(resolveSettings(configured.settings, options.baseFolder), {
      transport: options.transport,
      now: options.now,
      log: options.log,
      timeScale: configured.sandbox ? options.timeScale : 1,
      sandbox: configured.sandbox,
    })
    const notifyUrl = `${options.publicUrl}/notify/${encodeURIComponent(channelId)}/${segmentOf(channelId)}`
    const { sandbox, appLaunch = 'miniprogram' } = configured
    return { id: channelId, version, provider, notifyUrl, sandbox, appLaunch }
  }

  async function versionFor(channelId: string, configured: ConfiguredChannel): Promise<number> {
    const rows = await settingsVersions(options.db, channelId)
    versionsOf.set(
      channelId,
      rows.map((row) => row.version),
    )
    const known = rows.find((row) => row.settings_digest === configured.settingsDigest)
    if (known !== undefined) return known.version
    const version = (rows[0]?.version ?? 0) + 1
    const { provider, sandbox, settings } = configured
    try {
      await insertSettings(options.db, {
        channel_id: channelId,
        version,
        settings_digest: configured.settingsDigest,
        provider,
        settings: JSON.stringify({ sandbox, settings }),
        active_from: options.now(),
      })
    } catch (error) {
      if (!isDuplicate(error)) throw error
      return versionFor(channelId, configured)
    }
    versionsOf.set(channelId, [version, ...rows.map((row) => row.version)])
    return version
  }

  function rebuild(row: ChannelSettingsRow): Channel | undefined {
    try {
      const stored = JSON.parse(row.settings) as { sandbox: boolean; settings: unknown }
      return build(row.channel_id, row.version, { provider: row.provider, ...stored })
    } catch (error) {
      const { channel_id: channelId, version } = row
      options.log.error('an older version of a channel cannot be built', { channelId, version, error })
      return undefined
    }
  }

  async function version(channelId: string, wanted: number): Promise<Channel | undefined> {
    const key = `${channelId}@${String(wanted)}`
    const known = built.get(key)
    if (known !== undefined) return known
    const row = await settingsVersion(options.db, channelId, wanted)
    const channel = row === undefined ? undefined : rebuild(row)
    // A version that cannot be built now may be built once the operator has put its secrets back, so it is not remembered.
    if (channel !== undefined) built.set(key, channel)
    return channel
  }

  return {
    current: (channelId) => current.get(channelId),
    version,
    async atDoor(channelId, segment) {
      if (!/^[a-z0-9][a-z0-9_-]{0,63}$/i.test(channelId) || !sameSecret(segment, segmentOf(channelId))) return []
      const known =
        versionsOf.get(channelId) ?? (await settingsVersions(options.db, channelId)).map((row) => row.version)
      versionsOf.set(channelId, known)
      const first = current.get(channelId)
      const older = known.filter((number) => number !== first?.version).slice(0, versionsAtDoor)
      const channels = await Promise.all(older.map((number) => version(channelId, number)))
      return [first, ...channels].filter((channel) => channel !== undefined)
    },
    async apply(configured) {
      const next = new Map<string, Channel>()
      const faults: string[] = []
      // Everything is built before anything is written, so that a faulty file leaves no version behind.
      for (const [channelId, channel] of Object.entries(configured)) {
        try {
          build(channelId, 0, channel).provider.close?.()
        } catch (error) {
          faults.push(`channels.${channelId}: ${error instanceof Error ? error.message : String(error)}`)
        }
      }
      if (faults.length > 0) throw new Error(faults.join('\n'))
      for (const [channelId, channel] of Object.entries(configured)) {
        const number = await versionFor(channelId, channel)
        const key = `${channelId}@${String(number)}`
        const ready = built.get(key) ?? build(channelId, number, channel)
        built.set(key, ready)
        // How apps pay is no part of the version, and may have changed since this one was built.
        next.set(channelId, { ...ready, appLaunch: channel.appLaunch ?? 'miniprogram' })
      }
      current = next
    },
    close() {
      for (const channel of built.values()) channel?.provider.close?.()
      built.clear()
    },
  }
}
