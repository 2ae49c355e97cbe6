// What a broker says while it runs: one line per event that matters, to be read by a person, or as JSON by a machine.

export type LogLevel = 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, string | number | bigint | boolean | undefined>>

export interface Logger {
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

export const silentLogger: Logger = { info() {}, warn() {}, error() {} }

/** `write` gets whole lines, with their line break. */
export function lineLogger(format: 'text' | 'json', wallMs: () => number, write: (line: string) => void): Logger {
  const render = format === 'json' ? jsonLine : textLine
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) =>
      write(render(level, wallMs(), message, fields))
  return { info: at('info'), warn: at('warn'), error: at('error') }
}

function textLine(level: LogLevel, wallMs: number, message: string, fields: LogFields): string {
  const time = new Date(wallMs).toISOString().replace('T', ' ').slice(0, -1)
  let line = `${time} ${level.toUpperCase().padEnd(5)} ${oneLine(message)}`
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) line += ` ${name}=${quoted(String(value))}`
  return `${line}\n`
}

function jsonLine(level: LogLevel, wallMs: number, message: string, fields: LogFields): string {
  const event = { time: new Date(wallMs).toISOString(), level, message, ...fields }
  return `${JSON.stringify(event, (_key, value) => (typeof value === 'bigint' ? String(value) : value))}\n`
}

/** Text from clients ends up in log lines: it must not be able to forge one. */
function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f]/g, (control) => (control === '\n' ? ' ⏎ ' : '�'))
}

function quoted(text: string): string {
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text)
}
