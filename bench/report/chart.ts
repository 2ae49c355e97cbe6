// A scenario's results as an SVG: a panel of bars per figure, the range over the rounds as a line across each bar's end.

import { METRICS, type Metric, metricsOf } from '../measure/metrics.ts'
import type { BrokerResult, ScenarioResult } from '../measure/results.ts'
import { display } from '../measure/statistics.ts'

const WIDTH = 760
const NAME_WIDTH = 190
const VALUE_WIDTH = 90
const BAR = 14
const GAP = 5
const PANEL_GAP = 18
const HEAD = 46
const COLOURS: Readonly<Record<string, string>> = {
  moldau: '#0b7a75',
  'moldau-os': '#4fb3ab',
  kafka: '#3b3f46',
  'kafka-flush': '#82878f',
  nats: '#4a7fc1',
  redis: '#c2553f',
  'redis-always': '#dc9282',
  raw: '#b9bdc4',
  'raw-sync': '#d9dce0',
}

export function scenarioChart(scenario: ScenarioResult): string {
  const metrics = metricsOf(scenario.brokers.map(({ metrics }) => metrics))
  let top = HEAD
  const panels = metrics.map((metric) => {
    const brokers = scenario.brokers.filter(({ metrics }) => metrics[metric] !== undefined)
    const drawn = panel(metric, brokers, top)
    top += panelHeight(brokers.length) + PANEL_GAP
    return drawn
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" width="${WIDTH}" height="${top}" font-family="system-ui, sans-serif" font-size="12" fill="#1d2126">
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="24" font-size="15" font-weight="600">${escaped(scenario.title)}</text>
${panels.join('\n')}
</svg>
`
}

function panelHeight(brokers: number): number {
  return 20 + brokers * (BAR + GAP)
}

function panel(metric: Metric, brokers: readonly BrokerResult[], top: number): string {
  const { label, better } = METRICS[metric]
  const room = WIDTH - NAME_WIDTH - VALUE_WIDTH
  const largest = Math.max(...brokers.map(({ metrics }) => metrics[metric]!.max)) || 1
  const x = (value: number) => NAME_WIDTH + (value / largest) * room
  const heading = `<text x="12" y="${top + 10}" font-weight="600">${escaped(label)} <tspan font-weight="400" fill="#6a7078">${better} is better</tspan></text>`
  const bars = brokers.map(({ broker, title, metrics }, row) => {
    const { median, min, max } = metrics[metric]!
    const y = top + 20 + row * (BAR + GAP)
    const middle = y + BAR / 2
    return [
      `<text x="${NAME_WIDTH - 8}" y="${y + 11}" text-anchor="end">${escaped(title)}</text>`,
      `<rect x="${NAME_WIDTH}" y="${y}" width="${fixed(x(median) - NAME_WIDTH)}" height="${BAR}" fill="${COLOURS[broker] ?? '#999'}"/>`,
      `<path d="M${fixed(x(min))} ${middle}H${fixed(x(max))}" stroke="#1d2126" stroke-width="1.5"/>`,
      `<text x="${fixed(x(max) + 6)}" y="${y + 11}">${display(median)}</text>`,
    ].join('')
  })
  return [heading, ...bars].join('\n')
}

function fixed(value: number): string {
  return value.toFixed(1)
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
