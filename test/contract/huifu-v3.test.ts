import { startBench } from './bench.ts'
import { huifuV3 } from './kinds.ts'
import { describeProvider } from './provider.ts'

describeProvider('Huifu Dougong v3', {
  start: () => startBench(huifuV3),
  skip: [
    {
      case: 'a stale notification is refused, one of five minutes is not',
      reason: 'Huifu signs no time (huifu-dougong.md 13.1): a success is confirmed by a query instead (design.md 18.9)',
    },
  ],
})
