import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { adaptConfig, usualPorts } from '../../../src/cli/sandbox-config.ts'

const template = readFileSync('config/gateway.sandbox.json', 'utf8')
const adapt = (ports: Partial<typeof usualPorts>, timeScale?: number) =>
  adaptConfig(template, {
    ports: { ...usualPorts, ...ports },
    schema: '../config/gateway.schema.json',
    ...(timeScale === undefined ? {} : { timeScale }),
  })

type File = {
  publicUrl: string
  listen: { port: number; privatePort: number }
  timeScale: number
  database: string
  notifySecret: string
  $schema: string
  channels: Record<string, { settings: { baseUrl: string } }>
  merchants: Record<string, { endpoints: { url: string }[] }>
}

describe('the sandbox configuration', () => {
  it('stays as it is on the usual ports, but for where things lie', () => {
    const lines = adapt({}).split('\n')
    const changed = template.split('\n').filter((line, index) => line !== lines[index])
    expect(changed.length).to.be.greaterThan(0)
    for (const line of changed) expect(line).to.match(/\.\.\/var\/sandbox\/|\$schema/)
    expect(lines).to.have.lengthOf(template.split('\n').length)
  })

  it('moves every port to its own new one, also when they trade places', () => {
    const ports = { gateway: 8102, private: 8100, simulators: 8080, shop: 8081 }
    const file = JSON.parse(adapt(ports, 600)) as File
    expect(file.publicUrl).to.equal('http://127.0.0.1:8102')
    expect(file.listen).to.include({ port: 8102, privatePort: 8100 })
    expect(file.timeScale).to.equal(600)
    expect(Object.values(file.channels).map((channel) => channel.settings.baseUrl)).to.deep.equal(
      Array.from({ length: 3 }, () => 'http://127.0.0.1:8080'),
    )
    expect(file.merchants['demo-shop']?.endpoints[0]?.url).to.equal('http://127.0.0.1:8081/webhooks')
  })

  it('looks for keys, books and database beside itself', () => {
    const text = adapt({})
    const file = JSON.parse(text) as File
    expect(text).to.not.contain('../var/')
    expect(file.database).to.equal('sqlite:./sandbox/gateway.db')
    expect(file.notifySecret).to.equal('file:./sandbox/gateway/notify_secret.txt')
    expect(file.$schema).to.equal('../config/gateway.schema.json')
  })
})
