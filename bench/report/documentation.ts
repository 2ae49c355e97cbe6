// The part of docs/performance.md that comes from a run's results: everything between its two markers.

import { METRICS, type Metric } from '../measure/metrics.ts'
import { comparisonsOf, type FamilyResult, isBehind, type Results, type ScenarioResult } from '../measure/results.ts'
import { display } from '../measure/statistics.ts'

export const BEGIN = '<!-- npm run bench -- --write-docs: begin -->'
export const END = '<!-- npm run bench -- --write-docs: end -->'

/** What a row of a family's table shows, where its scenario has it. */
const SHOWN: readonly Metric[] = [
  ...(['recordsPerSecond', 'plainPerSecond', 'keptShare', 'megabytesPerSecond', 'startMs'] as const),
  ...(['meanMs', 'p50Ms', 'p99Ms', 'p999Ms'] as const),
  ...([
    'createSeconds',
    'connectSeconds',
    'at10',
    'at10000',
    'cpuPerGb',
    'cpuPerMillion',
    'idleCpuPercent',
    'idleMb',
    'peakMb',
  ] as const),
]

/** The page with what lies between the markers replaced. */
export function withResults(page: string, results: Results): string {
  const [before, rest] = page.split(BEGIN)
  const after = rest?.split(END)[1]
  if (after === undefined) throw new Error(`the page lacks its markers, ${BEGIN} and ${END}`)
  return `${before}${BEGIN}\n\n${resultsMarkdown(results)}\n${END}${after}`
}

export function resultsMarkdown(results: Results): string {
  return [machineMarkdown(results), lossesMarkdown(results), ...results.families.filter(hasResults).map(familyMarkdown)].join(
    '\n',
  )
}

function machineMarkdown({ machine, rounds, quick, versions, skipped }: Results): string {
  const { processor, cores, memoryGb, kernel, disk, flushMs } = machine
  const lines = [
    '## The machine and what ran on it',
    '',
    `${processor}, ${cores} cores, ${memoryGb} GB, ${kernel}; data on ${disk}, where flushing 4 KiB takes ${flushMs} ms. ` +
      `${rounds === 1 ? 'One round' : `${rounds} rounds, medians`}${quick ? ', of small loads (`--quick`): not for comparison' : ''}.`,
    '',
    ...new Set(Object.values(versions).map((version) => `- ${version}`)),
    ...Object.entries(skipped).map(([broker, why]) => `- not ${broker}: ${why}`),
  ]
  return `${lines.join('\n')}\n`
}

/** Every figure in which ours is behind Kafka's at an equal promise. */
function lossesMarkdown({ families }: Results): string {
  const lines = families.flatMap(({ scenarios }) => scenarios.flatMap(lossesOf))
  const text =
    lines.length === 0
      ? ['Nowhere in this run.']
      : ['| scenario | compared | behind in, as ours : theirs |', '|---|---|---|', ...lines]
  return ['## Where we lose', '', ...text, ''].join('\n')
}

function lossesOf(scenario: ScenarioResult): string[] {
  return comparisonsOf(scenario).flatMap(({ ours, theirs, ratios }) => {
    const behind = SHOWN.filter((metric) => ratios[metric] !== undefined && isBehind(metric, ratios[metric]))
    if (behind.length === 0) return []
    const figures = behind.map((metric) => `${METRICS[metric].label} ×${display(ratios[metric]!)}`)
    return [`| ${scenario.name} | ${ours.title} : ${theirs.title} | ${figures.join(', ')} |`]
  })
}

function hasResults({ scenarios }: FamilyResult): boolean {
  return scenarios.some(({ brokers }) => brokers.length > 0)
}

function familyMarkdown({ name, title, scenarios }: FamilyResult): string {
  const ran = scenarios.filter(({ brokers }) => brokers.length > 0)
  return [`## ${title}`, '', `\`npm run bench -- --only ^${name}/\``, '', ...ran.map(scenarioMarkdown)].join('\n')
}

function scenarioMarkdown(scenario: ScenarioResult): string {
  const metrics = SHOWN.filter((metric) => scenario.brokers.some(({ metrics }) => metrics[metric] !== undefined))
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const lines = [
    `**${scenario.name}**: ${scenario.title} ([chart](performance/${chartName(scenario)}))`,
    '',
    row(['', 'acknowledged is', ...metrics.map((metric) => METRICS[metric].label)]),
    row(['---', '---', ...metrics.map(() => '--:')]),
    ...scenario.brokers.map(({ title, worth, metrics: values, failures }) => {
      const note = failures.length > 0 ? ` (${failures.length} failed)` : ''
      return row([
        `${title}${note}`,
        worth ?? '',
        ...metrics.map((metric) => (values[metric] ? display(values[metric].median) : '')),
      ])
    }),
    ...comparisonsOf(scenario).map(({ ours, theirs, ratios }) =>
      row([
        `**${ours.title} : ${theirs.title}**`,
        ours.worth ?? '',
        ...metrics.map((metric) => (ratios[metric] === undefined ? '' : `**×${display(ratios[metric])}**`)),
      ]),
    ),
  ]
  return `${lines.join('\n')}\n`
}

/** Its file, in the directory of a run. */
export function chartName({ name }: ScenarioResult): string {
  return `${name.replace('/', '-')}.svg`
}
