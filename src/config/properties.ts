// Java's .properties format: comments, lines that go on after a backslash, escapes. The last of several equal keys counts,
// as in Java; it is reported, because it is nearly always a mistake.

export interface Property {
  readonly key: string
  readonly value: string
  /** Where the key stands, from 1 on. */
  readonly line: number
}

/** In the order of the file, equal keys included. Any text is legal: there is nothing to refuse. */
export function parseProperties(text: string): Property[] {
  const properties: Property[] = []
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\n|\r/)
  for (let i = 0; i < lines.length; i++) {
    const line = i + 1
    let logical = lines[i].replace(/^[ \t\f]+/, '')
    if (logical === '' || logical.startsWith('#') || logical.startsWith('!')) continue
    // A comment does not go on, whatever it ends with: it has been left already.
    while (endsWithOddBackslashes(logical) && i + 1 < lines.length) {
      logical = logical.slice(0, -1) + lines[++i].replace(/^[ \t\f]+/, '')
    }
    if (endsWithOddBackslashes(logical)) logical = logical.slice(0, -1)
    const [key, value] = split(logical)
    properties.push({ key: unescaped(key), value: unescaped(value), line })
  }
  return properties
}

function endsWithOddBackslashes(text: string): boolean {
  let count = 0
  while (text[text.length - 1 - count] === '\\') count++
  return count % 2 === 1
}

/** At the first `=`, `:` or blank that is not escaped; blanks around one `=` or `:` belong to neither side. */
function split(line: string): [key: string, value: string] {
  const match = /^((?:\\.|[^\\=: \t\f])*)[ \t\f]*(?:[=:][ \t\f]*)?(.*)$/s.exec(line)
  return match === null ? [line, ''] : [match[1], match[2]]
}

const ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

/** An escape that means nothing stands for its character; so does `\u` without four digits, which Java would refuse. */
function unescaped(text: string): string {
  if (!text.includes('\\')) return text
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/gs, (_, code: string | undefined, character: string) =>
    code === undefined ? (ESCAPES[character] ?? character) : String.fromCharCode(Number.parseInt(code, 16)),
  )
}
