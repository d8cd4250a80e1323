import type { IncomingMessage } from 'node:http'
import { Problem } from '../core/problem.ts'

/** The caller went away before its request was complete: there is nobody to answer. */
export class ClientGone extends Error {
  readonly code = 'CLIENT_GONE'
}

/**
 * Reads a request's body, counting while it arrives: neither a false Content-Length nor chunks without end get further
 * than the limit (reliability.md 3.1, T21).
 * @param limit bytes
 * @throws Problem `payload-too-large`, `unsupported-media-type` for a compressed body; ClientGone
 */
export async function readRawBody(req: IncomingMessage, limit: number): Promise<Buffer> {
  const encoding = req.headers['content-encoding']
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    throw new Problem('unsupported-media-type', 'Send the body without Content-Encoding.')
  }
  const tooLarge = () => new Problem('payload-too-large', `The body may have ${String(limit)} bytes.`)
  const declared = req.headers['content-length']
  if (declared !== undefined && Number.parseInt(declared, 10) > limit) {
    req.resume()
    throw tooLarge()
  }
  if (req.destroyed) throw new ClientGone('the request broke off')
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= limit) chunks.push(chunk)
      else reject(tooLarge())
    })
    req.on('end', () => resolve(Buffer.concat(chunks)))
    req.on('error', () => reject(new ClientGone('the request broke off')))
    req.on('close', () => reject(new ClientGone('the request broke off')))
  })
}
