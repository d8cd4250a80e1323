#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander'
import { CommandFailure, exitCodes, explain } from './exit-codes.ts'
import { huifuPortOption, portOption, seedOption, timeScaleOption } from './options.ts'
import { say } from './terminal.ts'
import type { DemoOptions } from './demo.ts'
import type { SandboxOptions } from './sandbox.ts'
import type { SimulateOptions } from './simulate.ts'
import type { WalkOptions } from './walk.ts'

/**
 * The command line. Each command's code is loaded when it runs, so that `--help` answers at once. Data goes to standard
 * output, everything said to a person to standard error.
 */

const codesHelp = `
Exit codes:
  0    done
  1    failed
  2    wrong usage
  3    finished, and things do not agree
  130  interrupted`

const examples = (...lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  $ mortise ${line}`).join('\n')}\n`

const configOption = (): Option =>
  new Option('-c, --config <file>', 'configuration; otherwise GATEWAY_CONFIG, otherwise config/gateway.json')
const jsonOption = (): Option => new Option('--json', 'print results as JSON lines').default(false)
const chaosOption = (): Option => new Option('--chaos', 'let the providers misbehave').default(false)
const seedOf = (): Option => new Option('--seed <number>', 'repeat the misbehaviour of that seed').argParser(seedOption)
const verboseOption = (): Option => new Option('--verbose', 'tell more').default(false)

function port(flags: string, text: string, usual: number, parse = portOption): Option {
  return new Option(flags, text).argParser(parse).default(usual)
}

/** What a command returns becomes the exit code; nothing means done. */
async function finish(work: Promise<number | void>): Promise<void> {
  const code = await work
  if (typeof code === 'number') process.exitCode = code
}

function worlds(program: Command): void {
  program
    .command('sandbox')
    .summary('gateway, simulated providers and a demo shop: everything on this machine')
    .description('Starts the gateway, simulated providers and a demo shop. No account, no real money.')
    .addOption(port('--port <number>', 'gateway; Huifu only calls 8000 to 9005', 8080, huifuPortOption))
    .addOption(port('--private-port <number>', 'health and metrics of the gateway', 8081))
    .addOption(port('--simulators-port <number>', 'APIs of the simulated providers', 8100))
    .addOption(port('--control-port <number>', 'control door of the simulators', 8101))
    .addOption(port('--shop-port <number>', 'demo shop', 8102))
    .addOption(port('--wechat-port <number>', 'fake WeChat', 8103))
    .option('--folder <path>', 'where keys, books, database and gateway.json are kept', 'var')
    .addOption(new Option('--time-scale <number>', 'how many times faster schedules run').argParser(timeScaleOption))
    .addOption(chaosOption())
    .addOption(seedOf())
    .addOption(verboseOption())
    .addHelpText('after', examples('sandbox', 'sandbox --chaos --seed 7', 'sandbox --port 8500 --shop-port 8502'))
    .action(async (options: SandboxOptions) => finish((await import('./sandbox.ts')).sandbox(options)))

  program
    .command('demo')
    .summary('one order paid, refunded in parts, another closed; then all books are compared')
    .description(
      'Starts everything in a temporary folder, pays an order, gives it back in three parts, closes another, and compares the books of shop, gateway and provider.',
    )
    .addOption(
      new Option('--channel <name>', 'who carries the payment')
        .choices(['wechat-main', 'huifu-main', 'huifu-v3'])
        .default('huifu-main'),
    )
    .addOption(new Option('--time-scale <number>', 'how many times faster schedules run').argParser(timeScaleOption))
    .option('--keep', 'leave the temporary folder behind', false)
    .addOption(chaosOption())
    .addOption(seedOf())
    .addOption(jsonOption())
    .addOption(verboseOption())
    .addHelpText('after', examples('demo --channel huifu-main', 'demo --channel wechat-main --chaos --seed 7 --json'))
    .action(async (options: DemoOptions) => finish((await import('./demo.ts')).demo(options)))

  program
    .command('simulate')
    .summary('simulated WeChat Pay and Huifu, and the demo shop, without the gateway')
    .description('Simulates the providers for any program that speaks to them, with a shop unless --no-shop is given.')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .addOption(port('--port <number>', 'APIs of the providers', 8100))
    .addOption(port('--control-port <number>', 'control door: pay, decline, settle, misbehave', 8101))
    .addOption(port('--shop-port <number>', 'demo shop', 8102))
    .addOption(port('--wechat-port <number>', 'fake WeChat', 8103))
    .option('--no-shop', 'providers only')
    .option('--folder <path>', 'where keys and books are kept', 'var/sandbox')
    .addOption(new Option('--time-scale <number>', 'times faster than real').argParser(timeScaleOption).default(1))
    .option('--fast-crypto', 'sign with node:crypto, for load tests', false)
    .option('--gateway <url>', 'where the shop finds the gateway', 'http://127.0.0.1:8080')
    .option('--gateway-config <file>', 'configuration whose route the shop may change')
    .addOption(new Option('--child').default(false).hideHelp())
    .addOption(chaosOption())
    .addOption(seedOf())
    .addOption(verboseOption())
    .addHelpText('after', examples('simulate --no-shop', 'simulate --port 9000 --control-port 9001 --chaos --seed 7'))
    .action(async (options: SimulateOptions) => finish((await import('./simulate.ts')).simulate(options)))
}

function walks(program: Command): void {
  program
    .command('walk')
    .summary('app, mini-program, paid, back to the app: walked on the simulators for both providers')
    .description(
      'Starts everything in a temporary folder and walks from the app through the mini-program and back, with another person trying the same launch and a launch that expires.',
    )
    .addOption(new Option('--channel <name>', 'only this one').choices(['wechat-main', 'huifu-main', 'huifu-v3']))
    .addOption(jsonOption())
    .addOption(verboseOption())
    .addHelpText('after', examples('walk', 'walk --channel huifu-main --json'))
    .action(async (options: WalkOptions) => finish((await import('./walk.ts')).walk(options)))
}

function gateway(program: Command): void {
  program
    .command('serve')
    .summary('run the gateway')
    .addOption(configOption())
    .option('--no-worker', 'only answer requests; another process does the chores')
    .option('--no-listen', 'only do the chores; another process answers requests')
    .addHelpText('after', examples('serve --config /etc/mortise/gateway.json', 'serve --no-listen'))
    .action(async (options: { config?: string; worker: boolean; listen: boolean }) => {
      await finish((await import('./serve.ts')).serve(options))
    })

  program
    .command('migrate')
    .summary('bring the database schema up to date')
    .addOption(configOption())
    .option('--dry-run', 'only list what would be applied', false)
    .addOption(jsonOption())
    .addHelpText('after', examples('migrate --dry-run', 'migrate --config /etc/mortise/gateway.json'))
    .action(async (options: { config?: string; dryRun: boolean; json: boolean }) => {
      await finish((await import('./migrate.ts')).migrateCommand(options))
    })

  program
    .command('check-config')
    .summary('read the configuration as the gateway would, and tell every fault')
    .addOption(configOption())
    .addOption(jsonOption())
    .addHelpText('after', examples('check-config --config config/gateway.json', 'check-config --json'))
    .action(async (options: { config?: string; json: boolean }) => {
      await finish((await import('./check-config.ts')).checkConfig(options))
    })
}

function desk(program: Command): void {
  program
    .command('show')
    .summary('the order behind any number: ours, the merchant’s, or as the provider sees it')
    .argument('<number>', 'ord_…, pay_…, ref_…, evt_…, pay01…, merchant_order_no or merchant_refund_no')
    .addOption(configOption())
    .addOption(jsonOption())
    .addHelpText('after', examples('show ord_01J9ZQ3Y7M2K8T4V6X0B5C1D2E', 'show shop-4711 --json'))
    .action(async (number: string, options: { config?: string; json: boolean }) => {
      await finish((await import('./show.ts')).show(number, options))
    })

  program
    .command('redeliver')
    .summary('send an event to the merchant’s endpoints again')
    .argument('<event>', 'evt_…')
    .addOption(configOption())
    .addOption(jsonOption())
    .addHelpText('after', examples('redeliver evt_01J9ZQ3Y7M2K8T4V6X0B5C1D2E'))
    .action(async (event: string, options: { config?: string; json: boolean }) => {
      await finish((await import('./redeliver.ts')).redeliver(event, options))
    })

  program
    .command('new-key')
    .summary('make an API key; it is shown once')
    .option('--id <name>', 'the id of the key in the configuration', 'key-1')
    .addOption(jsonOption())
    .addHelpText('after', examples('new-key --id backend-2027', 'new-key --json'))
    .action(async (options: { id: string; json: boolean }) => (await import('./new-key.ts')).newKey(options))
}

async function run(argv: readonly string[]): Promise<number> {
  const program = new Command('mortise')
    .description('One order model in front of WeChat Pay and Huifu Dougong.')
    .addHelpText('after', codesHelp)
    .showHelpAfterError('(mortise --help tells more)')
    .exitOverride()
  worlds(program)
  walks(program)
  gateway(program)
  desk(program)
  try {
    await program.parseAsync(argv)
    return typeof process.exitCode === 'number' ? process.exitCode : exitCodes.ok
  } catch (error) {
    // Commander has printed its message already; help that was asked for is no failure.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    say(explain(error, argv.includes('--verbose')))
    return error instanceof CommandFailure ? error.exitCode : exitCodes.failure
  }
}

process.exitCode = await run(process.argv)
