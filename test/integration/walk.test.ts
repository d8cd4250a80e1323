import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect } from 'chai'

/** `npm run walk`: a payer goes from an app through the mini-program and back, over both providers (experience.md 4). */
const run = promisify(execFile)

type Report = { walks: { channel: string; order: string; paid: number }[]; expired: string[] }

describe('the walk from an app', function () {
  this.timeout(120_000)

  it('goes there and back over both channels, refuses another openid, and outlives an expired launch', async () => {
    const env = { ...process.env, DATABASE_URL: 'mysql://nobody@127.0.0.1:1/must-not-be-used' }
    const { stdout, stderr } = await run(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', 'walk', '--json'], {
      env,
    })
    const report = JSON.parse(stdout) as Report
    expect(report.walks.map(({ channel, paid }) => [channel, paid])).to.deep.equal([
      ['wechat-main', 88],
      ['huifu-main', 88],
    ])
    expect(report.expired).to.deep.equal(['wechat-main', 'huifu-main'])
    for (const said of ['launch-taken', 'refreshed on resume: paid, by webhook', 'launch-expired after ten minutes']) {
      expect(stderr.split(said), said).to.have.lengthOf(3)
    }
  })
})
