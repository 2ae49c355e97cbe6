// The words of a .proto file, each with its line.

import { SchemaSyntaxError } from '../schema.ts'

export interface Token {
  readonly kind: 'word' | 'number' | 'text' | 'symbol' | 'end'
  /** Texts come with their quotes and escapes. */
  readonly text: string
  readonly line: number
}

const TOKEN =
  /(\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)|([A-Za-z_][\w]*)|(\.?\d(?:[\w.]|(?<=[eE])[+-])*)|("(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*')|([{}[\]()<>=;,.:+\-/])/y

/** Throws SchemaSyntaxError for characters that no .proto file has. */
export class Tokens {
  private readonly text: string
  private position = 0
  private line = 1
  private ahead: Token | undefined

  constructor(text: string) {
    this.text = text
  }

  peek(): Token {
    this.ahead ??= this.read()
    return this.ahead
  }

  next(): Token {
    const token = this.peek()
    this.ahead = undefined
    return token
  }

  /** Takes the next token if it is this one. */
  accept(text: string): boolean {
    if (this.peek().text !== text || this.peek().kind === 'text') return false
    this.next()
    return true
  }

  expect(text: string): void {
    const token = this.next()
    if (token.text !== text || token.kind === 'text') throw unexpected(token, `'${text}'`)
  }

  word(what: string): string {
    const token = this.next()
    if (token.kind !== 'word') throw unexpected(token, what)
    return token.text
  }

  /** A name with dots; one in front says that it is whole. */
  dotted(what: string): string {
    let name = this.accept('.') ? '.' : ''
    name += this.word(what)
    while (this.accept('.')) name += `.${this.word(what)}`
    return name
  }

  integer(what: string): number {
    const sign = this.accept('-') ? -1 : 1
    const token = this.next()
    const value = /^0[0-7]+$/.test(token.text) ? Number.parseInt(token.text, 8) : Number(token.text)
    if (token.kind !== 'number' || !Number.isInteger(value)) throw unexpected(token, what)
    return sign * value
  }

  /** Adjacent texts are one. Without quotes, escapes taken literally but for quotes. */
  string(what: string): string {
    const token = this.next()
    if (token.kind !== 'text') throw unexpected(token, what)
    let value = token.text.slice(1, -1)
    while (this.peek().kind === 'text') value += this.next().text.slice(1, -1)
    return value
  }

  private read(): Token {
    for (;;) {
      if (this.position >= this.text.length) return { kind: 'end', text: 'the end', line: this.line }
      TOKEN.lastIndex = this.position
      const match = TOKEN.exec(this.text)
      if (match === null) {
        throw new SchemaSyntaxError(`line ${this.line}: unexpected character ${JSON.stringify(this.text[this.position])}`)
      }
      this.position = TOKEN.lastIndex
      const { line } = this
      const [text, space, word, number, quoted] = match
      for (const character of text) if (character === '\n') this.line++
      if (space !== undefined) continue
      const kind = word !== undefined ? 'word' : number !== undefined ? 'number' : quoted !== undefined ? 'text' : 'symbol'
      return { kind, text, line }
    }
  }
}

export function unexpected(token: Token, meant: string): SchemaSyntaxError {
  const got = token.kind === 'end' ? 'the end of the file' : `'${token.text}'`
  return new SchemaSyntaxError(`line ${token.line}: ${got} where ${meant} is meant`)
}
