import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { expect } from 'chai'
import { importsOf, sourcesIn, withoutComments, type Source } from './source.ts'

/** The dependency rule of docs/architecture.md, enforced on the import statements of every file in src. */

type Rule = {
  /** Folders and top-level files of src that may be imported; one's own folder always may. */
  readonly ours: readonly string[]
  readonly packages: readonly string[]
  /** Packages whose types only may be imported. */
  readonly packageTypes?: readonly string[]
  readonly builtins: boolean
}

const rules: Readonly<Record<string, Rule>> = {
  core: { ours: [], packages: [], builtins: false },
  crypto: { ours: [], packages: ['jsrsasign'], builtins: true },
  store: { ours: ['core'], packages: ['knex', 'mysql2', '@photostructure/sqlite'], builtins: true },
  providers: {
    ours: ['core', 'crypto'],
    packages: ['axios', 'undici', 'zod', 'lossless-json', 'secure-json-parse'],
    builtins: true,
  },
  identity: { ours: ['core', 'crypto'], packages: ['axios', 'undici', 'zod'], builtins: true },
  egress: { ours: ['core', 'crypto'], packages: ['undici', 'ipaddr.js'], builtins: true },
  flows: {
    ours: ['core', 'store', 'crypto', 'context'],
    packages: ['ulid', 'p-limit'],
    packageTypes: ['knex'],
    builtins: true,
  },
  http: {
    ours: ['flows', 'core', 'store', 'crypto', 'config', 'context'],
    packages: ['express', 'express-rate-limit', 'helmet', 'zod', 'ulid', 'uqr', 'secure-json-parse', 'ipaddr.js'],
    packageTypes: ['knex'],
    builtins: true,
  },
  worker: { ours: ['flows', 'core', 'store', 'crypto', 'config', 'context'], packages: ['p-limit'], builtins: true },
  cli: {
    ours: [
      'flows',
      'core',
      'store',
      'crypto',
      'config',
      'context',
      'main',
      'channels',
      'merchants',
      'log',
      'simulators',
    ],
    packages: ['commander', 'close-with-grace', 'knex'],
    builtins: true,
  },
  config: { ours: ['core'], packages: ['zod', 'secure-json-parse'], builtins: true },
  // What runs in browsers imports nothing; the bundler beside it is a tool and fails on whatever browsers lack.
  web: { ours: ['core'], packages: ['esbuild'], builtins: true },
  simulators: { ours: [], packages: ['express', 'jsrsasign', 'standardwebhooks'], builtins: true },
  context: { ours: ['core'], packages: [], packageTypes: ['knex'], builtins: false },
  log: { ours: ['core'], packages: ['pino'], builtins: true },
  metrics: { ours: ['core', 'context'], packages: ['prom-client'], builtins: false },
}

/** Composition: these put everything together, and only the simulators stay out of their reach. */
const composition: readonly string[] = ['main', 'channels', 'merchants']
const everything: readonly string[] = [...Object.keys(rules), ...composition].filter(
  (part) => part !== 'simulators' && part !== 'cli',
)

/** `src/core/money.ts` → core, `src/log.ts` → log. */
function partOf(path: string): string {
  return (path.split('/')[1] ?? '').replace(/\.\w+$/, '')
}

const packageOf = (from: string) => from.split('/', from.startsWith('@') ? 2 : 1).join('/')

/** What is wrong with the imports of one file, one line each. */
function faultsOf({ path, text }: Source): readonly string[] {
  const part = partOf(path)
  const composes = composition.includes(part)
  const rule: Rule | undefined = composes ? { ours: everything, packages: ['*'], builtins: true } : rules[part]
  if (rule === undefined) return [`${path}: no rule for ${part}; add it to the table and to docs/architecture.md`]
  return importsOf(text).flatMap(({ from, typesOnly }) => {
    const no = (why: string) => [`${path}: ${from}: ${why}`]
    if (isBuiltin(from) || from.startsWith('node:')) {
      if (!from.startsWith('node:')) return no('write node: before a built-in module')
      return rule.builtins ? [] : no(`${part} imports no built-in modules`)
    }
    if (from.startsWith('.')) return oursFault(path, part, rule, from).flatMap(no)
    const name = packageOf(from)
    if (rule.packages.includes('*') || rule.packages.includes(name)) return []
    if (rule.packageTypes?.includes(name)) return typesOnly ? [] : no(`${part} may import only types of ${name}`)
    return no(`${part} may not import ${name}`)
  })
}

function oursFault(path: string, part: string, rule: Rule, from: string): readonly string[] {
  const target = posix.join(posix.dirname(path), from)
  if (!/\.(?:ts|json|html|css|sql)$/.test(from)) return ['relative imports name the file with its ending']
  if (!target.startsWith('src/')) {
    const known = (part === 'main' || part === 'cli') && (target.startsWith('migrations/') || target === 'package.json')
    return known ? [] : ['outside src']
  }
  const other = partOf(target)
  if (part === 'cli' && other === 'simulators' && !/^src\/simulators\/(?:start\.ts|shop\/)/.test(target)) {
    return ['the commands reach the simulators through their start, and the shop']
  }
  if (part === 'providers' && other === 'providers') return adapterFault(path, target)
  return other === part || rule.ours.includes(other) ? [] : [`${part} may not import ${other}`]
}

/** Adapters know nothing of each other, and what they share knows none of them; the registry knows all. */
function adapterFault(path: string, target: string): readonly string[] {
  const folder = (file: string) => (file.split('/').length > 3 ? file.split('/')[2] : undefined)
  const [own, other] = [folder(path), folder(target)]
  if (path === 'src/providers/registry.ts' || other === undefined || other === own) return []
  return [own === undefined ? 'what adapters share may not know an adapter' : 'an adapter may not know another adapter']
}

const sources = sourcesIn('src', ['.ts'])

describe('architecture: imports', () => {
  it('finds the code', () => expect(sources.length).to.be.greaterThan(100))

  for (const part of [...new Set(sources.map(({ path }) => partOf(path)))].toSorted()) {
    it(`${part} imports only what the dependency rule allows`, () => {
      expect(sources.filter(({ path }) => partOf(path) === part).flatMap(faultsOf)).to.deep.equal([])
    })
  }

  describe('catches', () => {
    const offenders: Readonly<Record<string, readonly [string, string]>> = {
      'a built-in module in core': ['src/core/a.ts', "import { createHash } from 'node:crypto'"],
      'a package in core, even for its types': ['src/core/a.ts', "import type { Knex } from 'knex'"],
      'core importing the store': ['src/core/a.ts', "import { x } from '../store/orders.ts'"],
      'crypto importing anything of ours': ['src/crypto/a.ts', "import type { Money } from '../core/money.ts'"],
      'an adapter importing the store': ['src/providers/huifu/a.ts', "import { x } from '../../store/orders.ts'"],
      'an adapter importing another': ['src/providers/huifu/a.ts', "import { x } from '../wechat-v3/call.ts'"],
      'what adapters share importing one of them': ['src/providers/outcome.ts', "import { x } from './huifu/codes.ts'"],
      'a flow importing an adapter': ['src/flows/a.ts', "import { x } from '../providers/registry.ts'"],
      'a flow importing a door': ['src/flows/a.ts', "export { x } from '../http/server.ts'"],
      'a flow importing knex itself': ['src/flows/a.ts', "import knex from 'knex'"],
      'a flow importing knex between its types': ['src/flows/a.ts', "import { type Knex, knex } from 'knex'"],
      'a door importing an adapter': ['src/http/a.ts', "import { x } from '../providers/registry.ts'"],
      'the worker importing http': ['src/worker/a.ts', "import '../http/server.ts'"],
      'config importing an adapter': ['src/config/a.ts', "import { x } from '../providers/huifu/settings.ts'"],
      'a simulator importing core': ['src/simulators/huifu/a.ts', "import { parseYuan } from '../../core/money.ts'"],
      'a simulator importing a test': ['src/simulators/a.ts', "import { x } from '../../test/databases.ts'"],
      'a simulator importing crypto when it runs': [
        'src/simulators/a.ts',
        "const { x } = await import('../crypto/rsa.ts')",
      ],
      'a required package': ['src/simulators/a.ts', "const knex = require('knex')"],
      'main importing a simulator': ['src/main.ts', "import { startSimulators } from './simulators/start.ts'"],
      'a command reaching into a simulator': ['src/cli/a.ts', "import { x } from '../simulators/huifu/books.ts'"],
      'an import over several lines': ['src/core/a.ts', "import {\n  a,\n  b,\n} from '../flows/open-order.ts'"],
      'an import without its ending': ['src/core/a.ts', "import { x } from './money'"],
      'a built-in without its prefix': ['src/http/a.ts', "import fs from 'fs'"],
      'a new folder without a rule': ['src/plugins/a.ts', 'export const x = 1'],
    }
    for (const [name, [path, text]] of Object.entries(offenders)) {
      it(name, () => expect(faultsOf({ path, text })).to.have.length(1))
    }

    const innocent: Readonly<Record<string, readonly [string, string]>> = {
      'its own folder': ['src/core/a.ts', "import { money } from './money.ts'"],
      'types of knex in a flow': ['src/flows/a.ts', "import type { Knex } from 'knex'"],
      'a list of types of knex in a flow': ['src/flows/a.ts', "import { type Knex } from 'knex'"],
      'the registry naming adapters': ['src/providers/registry.ts', "import { huifu } from './huifu/provider.ts'"],
      'an import inside a comment': [
        'src/core/a.ts',
        "// import { x } from '../store/orders.ts'\n/* import y from 'knex' */",
      ],
      'the word from in a call': ['src/core/a.ts', "const x = Array.from('abc')"],
    }
    for (const [name, [path, text]] of Object.entries(innocent)) {
      it(`but not ${name}`, () => expect(faultsOf({ path, text })).to.deep.equal([]))
    }
  })

  describe('reads source text', () => {
    it('blanks comments and keeps lines', () => {
      expect(withoutComments("a // b\nc /* d\ne */ f 'x // y' `z /* ${g /* h */} */`")).to.equal(
        `a     \nc     \n     f 'x // y' \`z /* \${g        } */\``,
      )
    })
    it('blanks strings and patterns where asked', () => {
      const text = "f('a\\'b', /[/]x'/g, 4 / 2) // 'c'"
      const code = withoutComments(text, true)
      expect(code).to.have.length(text.length)
      expect(code.replaceAll(/ +/g, ' ').trim()).to.equal("f(' , g, 4 / 2)")
    })
  })
})
