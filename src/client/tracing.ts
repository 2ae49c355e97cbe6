// What the client lets others see: events on Node's diagnostics channels, and the trace of a record, carried in its headers as W3C Trace
// Context has it. OpenTelemetry is not needed for either; where an application has it, `openTelemetry(api)` makes spans of it.

import { AsyncLocalStorage } from 'node:async_hooks'
import { channel, tracingChannel } from 'node:diagnostics_channel'
import type { Random } from '../host/random.ts'
import type { RecordHeader } from '../protocol/records/record.ts'
import type { ConsumerRecord } from './fetched-records.ts'

/**
 * `moldau.client.produce` and `moldau.client.process` are tracing channels (`tracing:moldau.client.produce:start` and so on) of one
 * record each; the others carry one message per event, whose shapes are beside them.
 */
export const channels = {
  produce: tracingChannel<unknown, ProduceEvent>('moldau.client.produce'),
  process: tracingChannel<unknown, ProcessEvent>('moldau.client.process'),
  /** { groupId, kind: 'assigned' | 'revoked' | 'lost', partitions } */
  rebalance: channel('moldau.client.rebalance'),
  /** { groupId, offsets } */
  commit: channel('moldau.client.commit'),
  /** { groupId, error, during }: something failed and will be tried again, or was given to a dead-letter topic. */
  error: channel('moldau.client.error'),
}

export interface ProduceEvent {
  readonly topic: string
  readonly headers: RecordHeader[]
}

export interface ProcessEvent {
  readonly groupId: string
  readonly records: readonly ConsumerRecord[]
}

/** How traces get into records and out of them. */
export interface Tracing {
  /** Calls `send`, after it has put the trace into the headers. */
  produce<T>(topic: string, headers: RecordHeader[], send: () => Promise<T>): Promise<T>
  /** Whether the call of `produce` can be spared now, because there is no trace to put into a record. */
  isOutside?(): boolean
  /** Whether the call of `process` can be spared, because the record carries no trace. */
  isUntraced?(record: ConsumerRecord): boolean
  /** Calls `handle` within the trace that the record came with. */
  process<T>(record: ConsumerRecord, groupId: string, handle: () => T): T
}

const TRACEPARENT = 'traceparent'
const TRACESTATE = 'tracestate'

interface TraceContext {
  readonly traceId: string
  readonly flags: string
  readonly state: RecordHeader | undefined
}

/**
 * Passes traces on: what a handler sends belongs to the trace of what it was given. Begins none, so that records outside of traces
 * carry nothing.
 */
export class TracePropagation implements Tracing {
  private readonly random: Random
  private readonly current = new AsyncLocalStorage<TraceContext>()

  constructor(random: Random) {
    this.random = random
  }

  isOutside(): boolean {
    return this.current.getStore() === undefined
  }

  isUntraced({ headers }: ConsumerRecord): boolean {
    // Within another trace it must be left.
    return headers.length === 0 && this.isOutside()
  }

  produce<T>(_topic: string, headers: RecordHeader[], send: () => Promise<T>): Promise<T> {
    const context = this.current.getStore()
    if (context !== undefined && !headers.some(({ key }) => key === TRACEPARENT)) {
      const parent = `00-${context.traceId}-${this.spanId()}-${context.flags}`
      headers.push({ key: TRACEPARENT, value: Buffer.from(parent) })
      if (context.state !== undefined) headers.push(context.state)
    }
    return send()
  }

  process<T>(record: ConsumerRecord, _groupId: string, handle: () => T): T {
    const { headers } = record
    const parent = headers.length === 0 ? undefined : headers.findLast(({ key }) => key === TRACEPARENT)?.value?.toString()
    const match =
      parent === undefined ? null : /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})/.exec(parent)
    if (match === null) return handle()
    const state = headers.findLast(({ key }) => key === TRACESTATE)
    return this.current.run({ traceId: match[1], flags: match[2], state }, handle)
  }

  private spanId(): string {
    const id = this.random.bytes(8).toString('hex')
    return id === '0'.repeat(16) ? this.spanId() : id
  }
}

/** The part of `@opentelemetry/api` that is used here. */
export interface OpenTelemetryApi {
  readonly trace: {
    getTracer(name: string): {
      startSpan(name: string, options: { kind: number; attributes: Record<string, string | number> }, context?: unknown): Span
    }
    setSpan(context: unknown, span: Span): unknown
  }
  readonly context: { active(): unknown; with<T>(context: unknown, run: () => T): T }
  readonly propagation: {
    inject(context: unknown, carrier: unknown, setter: { set(carrier: unknown, key: string, value: string): void }): void
    extract(
      context: unknown,
      carrier: unknown,
      getter: { keys(carrier: unknown): string[]; get(carrier: unknown, key: string): string | undefined },
    ): unknown
  }
}

interface Span {
  setStatus(status: { code: number; message?: string }): unknown
  recordException(error: Error): void
  end(): void
}

const SpanKind = { PRODUCER: 3, CONSUMER: 4 } as const
const STATUS_ERROR = 2

/**
 * Spans by OpenTelemetry's conventions for messaging, through the application's own `@opentelemetry/api`.
 * @example
 * import * as api from '@opentelemetry/api'
 * const client = connect({ bootstrapServers, tracing: openTelemetry(api) })
 */
export function openTelemetry(api: OpenTelemetryApi): Tracing {
  const tracer = api.trace.getTracer('moldau')
  const setter = {
    set: (headers: unknown, key: string, value: string) => {
      ;(headers as RecordHeader[]).push({ key, value: Buffer.from(value) })
    },
  }
  const getter = {
    keys: (headers: unknown) => (headers as readonly RecordHeader[]).map(({ key }) => key),
    get: (headers: unknown, key: string) =>
      (headers as readonly RecordHeader[]).findLast((header) => header.key === key)?.value?.toString(),
  }
  const within = <T>(span: Span, context: unknown, run: () => T): T => {
    const fail = (error: unknown): never => {
      span.setStatus({ code: STATUS_ERROR, message: String(error) })
      if (error instanceof Error) span.recordException(error)
      span.end()
      throw error
    }
    let result: T
    try {
      result = api.context.with(context, run)
    } catch (error) {
      return fail(error)
    }
    if (!(result instanceof Promise)) {
      span.end()
      return result
    }
    const ended = result.then((value) => {
      span.end()
      return value
    }, fail)
    return ended as T
  }
  return {
    produce(topic, headers, send) {
      const attributes = { 'messaging.system': 'kafka', 'messaging.operation.type': 'send', 'messaging.destination.name': topic }
      const span = tracer.startSpan(`send ${topic}`, { kind: SpanKind.PRODUCER, attributes })
      const context = api.trace.setSpan(api.context.active(), span)
      api.propagation.inject(context, headers, setter)
      return within(span, context, send)
    },
    process(record, groupId, handle) {
      const parent = api.propagation.extract(api.context.active(), record.headers, getter)
      const attributes = {
        'messaging.system': 'kafka',
        'messaging.operation.type': 'process',
        'messaging.destination.name': record.topic,
        'messaging.destination.partition.id': String(record.partition),
        'messaging.kafka.offset': Number(record.offset),
        'messaging.consumer.group.name': groupId,
      }
      const span = tracer.startSpan(`process ${record.topic}`, { kind: SpanKind.CONSUMER, attributes }, parent)
      return within(span, api.trace.setSpan(parent, span), handle)
    },
  }
}
