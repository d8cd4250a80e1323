import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { expect } from 'chai'
import { problems } from '../../src/core/problem.ts'
import { filesIn, importsOf, root, sourcesIn, topLevel, withoutComments, type Source } from './source.ts'

/** Style that a machine can check is not argued about. Every checker below is shown an offender, so that it cannot sleep. */

type Finder = (source: Source) => readonly string[]

const src = sourcesIn('src', ['.ts'])
const migrations = sourcesIn('migrations', ['.ts'])
const tests = sourcesIn('test', ['.ts'])
const written = ['src', 'migrations', 'test', 'docs', 'config', 'scripts', 'examples', 'bench', '.'].flatMap(
  (folder) =>
    folder === '.'
      ? topLevel(['.md', '.ts', '.json']).filter(({ path }) => path !== 'package-lock.json')
      : sourcesIn(folder, ['.ts', '.js', '.md', '.json', '.yaml', '.html', '.css', '.sh']),
)

/** Every match with its line. */
function matches(path: string, text: string, pattern: RegExp): readonly string[] {
  return [...text.matchAll(pattern)].map(({ index, 0: found }) => {
    const line = text.slice(0, index).split('\n').length
    return `${path}:${String(line)}: ${found.trim().slice(0, 80)}`
  })
}

const inCode =
  (pattern: RegExp): Finder =>
  ({ path, text }) =>
    matches(path, withoutComments(text, true), pattern)

const inText =
  (pattern: RegExp): Finder =>
  ({ path, text }) =>
    matches(path, text, pattern)

type Check = {
  readonly name: string
  readonly files: readonly Source[]
  readonly find: Finder
  /** Files that may, and why. */
  readonly allowed?: Readonly<Record<string, string>>
  readonly offenders: readonly string[]
  readonly innocent: readonly string[]
}

/** Built from parts, so that this file is not its own offender. */
const word = (...parts: readonly string[]) => parts.join('')
const machinePath = new RegExp(`(?<![\\w.~:/-])/(?:work|root|tmp|farm|home/\\w+|Users/\\w+)/`, 'g')

const checks: readonly Check[] = [
  {
    name: 'no floating point near money',
    files: src,
    find: inCode(
      /(?<!\w)(?:Number\.)?parseFloat\s*\(|\.toFixed\s*\(|[*/]\s*100(?![\d_.])|(?<![\w.])100\s*\*|(?<![\w.])Number\s*\(/g,
    ),
    allowed: {
      'src/store/sqlite-client.ts': 'counts of rows come from the driver as bigint or number',
      'src/cli/demo.ts': 'prints seconds for people',
      'src/cli/sandbox.ts': 'prints seconds for people',
      'src/simulators/control.ts': 'a rate of faults between 0 and 1, checked by a pattern first',
      'src/simulators/huifu/money.ts': 'BigInt arithmetic, turned back into a number at the end',
      'src/simulators/huifu/notices.ts': 'a port of a URL',
      'src/simulators/wechat-pay/control.ts': 'a share of messages signed with one key',
      'src/simulators/wechat-pay/refunds.ts': 'BigInt arithmetic, turned back into a number at the end',
      'src/simulators/wechat-pay/v3.ts': 'a timestamp, checked by a pattern first',
    },
    offenders: [
      'const fen = yuan * 100',
      'const yuan = fen / 100',
      'const x = parseFloat(text)',
      'const x = Number.parseFloat(text)',
      'x.toFixed(2)',
      'const n = Number(text)',
      'const n = 100 * yuan',
    ],
    innocent: [
      'const ms = seconds * 1000',
      '// 19.99 * 100 is not 1999',
      "const text = 'x * 100'",
      'Number.isSafeInteger(x)',
      'const bps = x * 100_000',
      'Number.parseInt(text, 10)',
    ],
  },
  {
    name: 'no reminders left behind',
    files: written,
    find: inText(new RegExp(`\\b(?:${word('TO', 'DO')}|${word('FIX', 'ME')}|${word('HA', 'CK')})\\b`, 'g')),
    offenders: [word('// TO', 'DO: later'), word('/* FIX', 'ME */')],
    innocent: ['// todos los días', 'const hackney = 1'],
  },
  {
    name: 'no paths of one machine',
    files: written,
    find: inText(machinePath),
    offenders: [
      word('/wo', 'rk/shared'),
      word("readFile('/ro", "ot/key')"),
      word('see /t', 'mp/x.log'),
      word('/home/', 'lin/pay'),
    ],
    innocent: ['https://example.com/work/x', 'file:/run/secrets/key', 'src/tmp/x', "join(tmpdir(), 'x')"],
  },
  {
    name: 'AES-GCM names the length of its tag',
    files: src,
    find({ path, text }) {
      const code = withoutComments(text)
      const calls = [...code.matchAll(/create(?:Dec|C)ipheriv\(\s*['"`][^'"`]*gcm[^]*?\)\s*(?:\n|;|\.)/gi)].filter(
        ([call]) => !call.includes('authTagLength'),
      )
      const unnamed =
        /\.setAuthTag\(/.test(code) && !code.includes('authTagLength')
          ? [`${path}: setAuthTag without authTagLength`]
          : []
      return [...calls.map(([call]) => `${path}: ${call.trim()}`), ...unnamed]
    },
    offenders: ["const d = createDecipheriv('aes-256-gcm', key, nonce)\nd.setAAD(aad)", 'decipher.setAuthTag(tag)'],
    innocent: [
      "const d = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })\nd.setAuthTag(tag)\n",
      "createDecipheriv('aes-256-ecb', key, null)\n",
    ],
  },
  {
    name: 'no SQL put together from values',
    files: src,
    find: ({ path, text }) =>
      matches(path, withoutComments(text), /\b\w*[rR]aw\(\s*(?:`[^`]*\$\{|'[^'\n]*'\s*\+|"[^"\n]*"\s*\+)[^\n]*/g),
    allowed: { 'src/store/preflight.ts': 'the name of a pragma out of a fixed list; SQLite binds no values there' },
    offenders: ['await db.raw(`select ${column}`)', "query.whereRaw('id = ' + id)"],
    innocent: ["db.raw('refund_reserved + ?', [amount])", 'db.raw(`select 1`)', 'log.raw(name)'],
  },
  {
    name: 'no test is left out or singled out',
    files: tests,
    find: inCode(
      /\b(?:describe|context|it|specify)\s*\.\s*(?:only|skip)\b|\bx(?:it|describe|specify)\s*\(|\bthis\s*\.\s*skip\s*\(/g,
    ),
    offenders: [
      word('describe.on', "ly('x', f)"),
      word('it.sk', "ip('x', f)"),
      word('xi', "t('x', f)"),
      word('this.sk', 'ip()'),
    ],
    innocent: ["exit('x')", "it('has .only in its name', f)", 'page.skip()'],
  },
  {
    name: 'no way around the types',
    files: [...src, ...migrations, ...tests],
    find: inCode(/\bas unknown as\b|\bas any\b|:\s*any\b|<any>|@ts-(?:ignore|nocheck)/g),
    offenders: ['const x = y as unknown as Z', 'const x = y as any', 'function f(x: any) {}'],
    innocent: ['// any order', 'const many: Many = x', "it('any: x', f)"],
  },
  {
    name: 'files stay readable',
    files: src,
    find: ({ path, text }) =>
      text.split('\n').length > 401 ? [`${path}: ${String(text.split('\n').length)} lines; the limit is 400`] : [],
    offenders: ['\n'.repeat(401)],
    innocent: ['\n'.repeat(400)],
  },
]

describe('architecture: tidy', () => {
  for (const { name, files, find, allowed = {}, offenders, innocent } of checks) {
    describe(name, () => {
      it('holds everywhere', () =>
        expect(files.filter(({ path }) => !(path in allowed)).flatMap(find)).to.deep.equal([]))
      for (const [index, text] of offenders.entries()) {
        it(`catches offender ${String(index + 1)}`, () =>
          expect(find({ path: 'src/planted.ts', text })).to.not.deep.equal([]))
      }
      for (const [index, text] of innocent.entries()) {
        it(`passes innocent ${String(index + 1)}`, () =>
          expect(find({ path: 'src/planted.ts', text })).to.deep.equal([]))
      }
      for (const path of Object.keys(allowed)) {
        it(`still needs its exception for ${path}`, () => {
          const source = files.find((file) => file.path === path)
          expect(source === undefined ? [] : find(source), 'remove the exception').to.not.deep.equal([])
        })
      }
    })
  }

  describe('names', () => {
    const drawers = [
      'util',
      'utils',
      'helper',
      'helpers',
      'common',
      'shared',
      'lib',
      'libs',
      'types',
      'models',
      'misc',
      'stuff',
    ]
    const faults = (path: string) =>
      path.split('/').flatMap((part, index, parts) => {
        const name = part.replace(/\.(?:test\.)?\w+$/, '')
        if (drawers.includes(name)) return [`${path}: ${name} says nothing about what is inside`]
        const kebab = /^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(name)
        return kebab || index < parts.length - 1 || !part.endsWith('.ts') ? [] : [`${path}: not kebab-case`]
      })
    it('no folder or file is a drawer, and every source file is kebab-case', () => {
      const paths = ['src', 'test', 'scripts', 'bench'].flatMap(filesIn)
      expect(paths.flatMap(faults)).to.deep.equal([])
      expect(
        filesIn('migrations').flatMap((path) => (/^migrations\/\d{4}_[a-z_]+\.ts$/.test(path) ? [] : [path])),
      ).to.deep.equal([])
    })
    it('catches drawers and other spellings', () => {
      for (const path of [
        'src/utils/x.ts',
        'src/core/helpers.ts',
        'src/types.ts',
        'src/core/Money.ts',
        'src/core/applyFact.ts',
        'test/lib/x.ts',
      ]) {
        expect(faults(path), path).to.have.length(1)
      }
      for (const path of ['src/core/money.ts', 'src/providers/wechat-v3/call.ts', 'test/unit/core/money.test.ts'])
        expect(faults(path)).to.deep.equal([])
    })
  })

  describe('statuses', () => {
    const writers: Readonly<Record<string, readonly string[]>> = {
      raisePaymentStatus: ['src/flows/apply-payment-fact.ts'],
      raiseAccountStatus: ['src/flows/apply-payment-fact.ts'],
      raiseToPaid: ['src/flows/apply-payment-fact.ts'],
      raiseRefundStatus: ['src/flows/apply-refund-fact.ts'],
      raiseToClosed: ['src/flows/close-order.ts'],
    }

    /** Top-level functions of a formatted file: from their first line to the brace in the first column. */
    const functionsOf = (text: string) =>
      [...withoutComments(text).matchAll(/^(?:export )?(?:async )?function (\w+)[^]*?^\}/gm)].map(
        ([body, name = '']) => ({ name, body }),
      )

    /** The text between the parentheses of each `.update(`. */
    function updatesIn(body: string): readonly string[] {
      return [...body.matchAll(/\.(?:update|merge)\(/g)].map(({ index, 0: call }) => {
        const start = index + call.length
        let depth = 1
        let end = start
        for (; end < body.length && depth > 0; end += 1) depth += body[end] === '(' ? 1 : body[end] === ')' ? -1 : 0
        return body.slice(start, end - 1)
      })
    }

    const guarded = /['"`](?:payments|refunds|orders)['"`]/
    const column = /\b(?:status|account_status|paid_payment_id)['"]?\s*:/
    const offendersIn: Finder = ({ path, text }) => {
      const inFunctions = functionsOf(text)
        .filter(({ name, body }) => !(name in writers) && guarded.test(body))
        .filter(({ body }) => {
          const header = body.slice(0, body.search(/\)\s*:[^\n]*\{\s*$/m))
          return updatesIn(body).some(
            (update) => column.test(update) || (!update.trim().startsWith('{') && /\bstatus\b|Partial</.test(header)),
          )
        })
        .map(({ name }) => `${path}: ${name} writes a status`)
      const raw = matches(path, withoutComments(text), /\bUPDATE\s+[`"]?(?:payments|refunds|orders)\b/gi)
      return [...inFunctions, ...raw]
    }

    it('are written by five functions of the store and nobody else', () => {
      expect(src.filter(({ path }) => !path.startsWith('src/simulators/')).flatMap(offendersIn)).to.deep.equal([])
    })
    it('still finds those five', () => {
      const store = src.filter(({ path }) => path.startsWith('src/store/')).flatMap(({ text }) => functionsOf(text))
      for (const name of Object.keys(writers)) {
        const body = store.find((candidate) => candidate.name === name)?.body ?? ''
        expect(
          updatesIn(body).some((update) => column.test(update)),
          name,
        ).to.equal(true)
      }
    })
    it('are raised only from the funnels and from closing an order', () => {
      const importers = Object.keys(writers).map((name) => [
        name,
        src.filter(({ text }) => importsOf(text).some((one) => one.names.includes(name))).map(({ path }) => path),
      ])
      expect(Object.fromEntries(importers)).to.deep.equal(writers)
    })
    it('cannot be reached by importing a whole store file', () => {
      const whole = src.flatMap(({ path, text }) =>
        matches(path, withoutComments(text), /(?:import|export)\s+\*[^\n]*store\/(?:payments|refunds|orders)\.ts/g),
      )
      expect(whole).to.deep.equal([])
    })
    const planted: readonly string[] = [
      "export async function sneak(db: Knex): Promise<void> {\n  await db('payments').where({ id }).update({ status: 'succeeded' })\n}",
      "async function sneak(db: Knex): Promise<void> {\n  await db('refunds')\n    .where({ id })\n    .update({\n      checks: f(1),\n      status: fact.seen,\n    })\n}",
      "export async function sneak(db: Knex, values: Partial<Payment>): Promise<void> {\n  await db('payments').update(values)\n}",
      "function sneak(db: Knex): void {\n  void db('orders').update({ paid_payment_id: x })\n}",
      "const sql = 'update payments set status = 1'",
    ]
    for (const [index, text] of planted.entries()) {
      it(`catches offender ${String(index + 1)}`, () =>
        expect(offendersIn({ path: 'src/store/x.ts', text })).to.have.length(1))
    }
    it('lets other columns and other tables pass', () => {
      const fine = [
        "export async function f(db: Knex): Promise<void> {\n  await db('payments').where({ status: 'created' }).update({ next_check_at: 1 })\n}",
        "export async function f(db: Knex): Promise<void> {\n  await db('deliveries').update({ status: 'delivered' })\n}",
      ]
      for (const text of fine) expect(offendersIn({ path: 'src/store/x.ts', text })).to.deep.equal([])
    })
  })

  describe('functions', () => {
    /** Factories whose inner functions share state, with the lines they have: these numbers may only become smaller. */
    const ratchet: Readonly<Record<string, number>> = {
      'src/main.ts startGateway': 101,
      'src/channels.ts createChannels': 115,
      'src/worker/loop.ts createWorker': 109,
      'src/simulators/shop/counter.ts createCounter': 98,
    }

    function tooLong(target: string): Readonly<Record<string, number>> {
      const folder = mkdtempSync(join(tmpdir(), 'mortise-tidy-'))
      try {
        const config = join(folder, 'oxlint.json')
        const rule = ['error', { max: 70, skipBlankLines: false, skipComments: false, IIFEs: true }]
        writeFileSync(
          config,
          JSON.stringify({ categories: { correctness: 'off' }, rules: { 'eslint/max-lines-per-function': rule } }),
        )
        const oxlint = join(root, 'node_modules/oxlint/bin/oxlint')
        const { stdout, stderr } = spawnSync(process.execPath, [oxlint, '-c', config, '--format', 'json', target], {
          cwd: root,
          encoding: 'utf8',
          maxBuffer: 1 << 26,
        })
        const { diagnostics, number_of_files: files } = JSON.parse(stdout || stderr) as {
          diagnostics: { filename: string; message: string }[]
          number_of_files: number
        }
        expect(files, 'files looked at').to.be.greaterThan(0)
        return Object.fromEntries(
          diagnostics.map(({ filename, message }) => {
            const [, name = message, lines = '0'] = /`(.+)` has too many lines \((\d+)\)/.exec(message) ?? []
            return [`${filename} ${name}`, Number.parseInt(lines, 10)]
          }),
        )
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    }

    it('fit into seventy lines', () => {
      const found = Object.entries(tooLong('src'))
      expect(found.filter(([name, lines]) => lines > (ratchet[name] ?? 70))).to.deep.equal([])
      const names = found.map(([name]) => name)
      expect(
        Object.keys(ratchet).filter((name) => !names.includes(name)),
        'no longer needed in the ratchet',
      ).to.deep.equal([])
    }).timeout(60_000)

    it('are caught when they do not', () => {
      const folder = mkdtempSync(join(tmpdir(), 'mortise-tidy-'))
      try {
        const body = (lines: number) =>
          Array.from({ length: lines }, (_, index) => `  use(${String(index)})`).join('\n')
        writeFileSync(join(folder, 'long.ts'), `export function long() {\n${body(69)}\n}\n`)
        writeFileSync(join(folder, 'short.ts'), `export function short() {\n${body(68)}\n}\n`)
        const found = Object.entries(tooLong(folder))
        expect(found).to.have.length(1)
        expect(found[0]?.[0]).to.match(/long\.ts long$/)
        expect(found[0]?.[1]).to.equal(71)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    }).timeout(60_000)
  })

  describe('problem codes', () => {
    const headings = (text: string) =>
      [...text.matchAll(/^#{2,3} `?([a-z]+(?:-[a-z]+)*)`?[ \t]*$/gm)].map(([, code]) => code ?? '')
    it('have a heading each in docs/problems.md, and no heading is left over', () => {
      const page = sourcesIn('docs', ['problems.md'])[0]?.text ?? ''
      expect(headings(page).toSorted()).to.deep.equal(Object.keys(problems).toSorted())
    })
    it('are found in headings only', () => {
      expect(
        headings('# Problems\n## invalid-request\ntext about not-found\n### `internal`\n## Not a code\n'),
      ).to.deep.equal(['invalid-request', 'internal'])
    })
  })

  describe('discrepancies', () => {
    it('of every kind have their cure in docs/runbook.md', () => {
      const rows = src.find(({ path }) => path === 'src/store/rows.ts')?.text ?? ''
      const union = /type DiscrepancyKind =([^]*?)\n\n/.exec(rows)?.[1] ?? ''
      const kinds = [...union.matchAll(/'(\w+)'/g)].map(([, kind]) => kind ?? '')
      expect(kinds.length).to.be.greaterThan(5)
      const page = sourcesIn('docs', ['runbook.md'])[0]?.text ?? ''
      expect(kinds.filter((kind) => !page.includes(`\`${kind}\``))).to.deep.equal([])
    })
  })

  describe('reach', () => {
    const roots = ['src/main.ts', 'src/cli/main.ts', 'src/simulators/start.ts', 'knexfile.ts']

    /** Files of src that no way from the roots, the migrations or a package script leads to. */
    function unreached(files: readonly Source[], starts: readonly string[]): readonly string[] {
      const byPath = new Map(files.map((file) => [file.path, file]))
      const reached = new Set<string>()
      const open = [...starts]
      for (let path = open.pop(); path !== undefined; path = open.pop()) {
        const file = byPath.get(path)
        if (file === undefined || reached.has(path)) continue
        reached.add(path)
        for (const { from } of importsOf(file.text))
          if (from.startsWith('.')) open.push(posix.join(posix.dirname(path), from))
        // A process of its own is started by the address of its file.
        for (const [, from = ''] of withoutComments(file.text).matchAll(/new URL\(\s*['"`](\.[^'"`]+\.ts)['"`]/g)) {
          open.push(posix.join(posix.dirname(path), from))
        }
      }
      return files.map(({ path }) => path).filter((path) => path.startsWith('src/') && !reached.has(path))
    }

    it('every file of src is used', () => {
      const manifest = topLevel(['package.json'])[0]?.text ?? ''
      const scripted = [...manifest.matchAll(/\b(src\/[\w/-]+\.ts)\b/g)].map(([, path]) => path ?? '')
      const pages = src.map(({ path }) => path).filter((path) => /^src\/web\/\w+\/\w+\.ts$/.test(path))
      const files = [...src, ...migrations, ...topLevel(['knexfile.ts'])]
      expect(unreached(files, [...roots, ...scripted, ...pages, ...migrations.map(({ path }) => path)])).to.deep.equal(
        [],
      )
    })
    it('catches a file that nobody imports', () => {
      const files = [
        {
          path: 'src/main.ts',
          text: "import { a } from './core/a.ts'\nfork(new URL('./cli/child.ts', import.meta.url))",
        },
        { path: 'src/core/a.ts', text: "// import './b.ts'" },
        { path: 'src/core/b.ts', text: '' },
        { path: 'src/cli/child.ts', text: '' },
      ]
      expect(unreached(files, ['src/main.ts'])).to.deep.equal(['src/core/b.ts'])
    })
  })

  describe('package-lock.json', () => {
    const hosts = (text: string) => matches('package-lock.json', text, /"resolved":\s*"https?:[^"]*"/g)
    it('names no registry, so that everybody installs from their own', () => {
      const lock = topLevel(['package-lock.json'])[0]?.text ?? ''
      expect(lock).to.include('"lockfileVersion"')
      expect(hosts(lock)).to.deep.equal([])
    })
    it('catches one that does', () =>
      expect(hosts('{ "resolved": "https://registry.example.com/x.tgz" }')).to.have.length(1))
  })
})
