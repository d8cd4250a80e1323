import { startBench } from './bench.ts'
import { wechat } from './kinds.ts'
import { describeProvider } from './provider.ts'

describeProvider('WeChat Pay APIv3, direct merchant', { start: () => startBench(wechat), skip: [] })
