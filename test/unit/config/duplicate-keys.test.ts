import { expect } from 'chai'
import fc from 'fast-check'
import { duplicateKeys } from '../../../src/config/duplicate-keys.ts'

describe('duplicate keys', () => {
  it('are found at any depth, with their pointers', () => {
    const text = '{"a":{"b":1,"b":{"c":[1,{"d":"}","d":2}]}},"a/~":[{}, {"x":"\\"x\\":","x":0}],"\\u0061":1}'
    expect(duplicateKeys(text)).to.deep.equal(['/a/b', '/a/b/c/1/d', '/a~1~0/1/x', '/a'])
  })

  it('are never found in what JSON.stringify has written', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => duplicateKeys(JSON.stringify(value, null, 1)).length === 0))
  })
})
