import { encode } from 'uqr'

/**
 * A QR code as an image in a data address, which `img-src data:` permits. Rows become runs, so that it weighs a third of
 * one square per module.
 * @param content what a phone reads
 */
export function qrImage(content: string): string {
  const { data, size } = encode(content, { ecc: 'M', border: 3 })
  let path = ''
  for (const [y, row] of data.entries()) {
    for (const run of runsOf(row))
      path += `M${String(run.start)} ${String(y)}h${String(run.length)}v1h-${String(run.length)}z`
  }
  const side = String(size)
  // White stays white in dark mode: many phones cannot read an inverted code.
  const svg = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 ${side} ${side}' shape-rendering='crispEdges'><path fill='#fff' d='M0 0h${side}v${side}H0z'/><path d='${path}'/></svg>`
  return `data:image/svg+xml,${encodeURIComponent(svg).replaceAll('%20', ' ').replaceAll('%27', "'").replaceAll('%3D', '=').replaceAll('%2F', '/').replaceAll('%3A', ':')}`
}

function runsOf(row: readonly boolean[]): readonly { readonly start: number; readonly length: number }[] {
  const runs: { start: number; length: number }[] = []
  for (const [x, dark] of row.entries()) {
    const last = runs.at(-1)
    if (!dark) continue
    if (last !== undefined && last.start + last.length === x) last.length += 1
    else runs.push({ start: x, length: 1 })
  }
  return runs
}
