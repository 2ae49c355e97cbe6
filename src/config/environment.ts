// Configuration by environment variables, in the manner of Kafka's Docker image: KAFKA_LOG_RETENTION_MS is log.retention.ms,
// two underscores are one, three are a hyphen.

/** Variables that start Kafka's scripts or image, and configure no broker. */
const OTHER_VARIABLES = new Set([
  'KAFKA_CLUSTER_ID',
  'KAFKA_CONF_DIR',
  'KAFKA_CONFIG',
  'KAFKA_DATA_DIR',
  'KAFKA_DEBUG',
  'KAFKA_GC_LOG_OPTS',
  'KAFKA_GID',
  'KAFKA_HEAP_OPTS',
  'KAFKA_HOME',
  'KAFKA_JVM_PERFORMANCE_OPTS',
  'KAFKA_MODE',
  'KAFKA_OPTS',
  'KAFKA_SCALA_VERSION',
  'KAFKA_TOOLS_LOG4J_LOGLEVEL',
  'KAFKA_UID',
  'KAFKA_URL',
  'KAFKA_USER',
  'KAFKA_VERSION',
])
const OTHER_PREFIXES = ['KAFKA_LOG4J', 'KAFKA_JMX', 'KAFKA_KRAFT_']

export interface EnvironmentEntry {
  readonly variable: string
  readonly key: string
  readonly value: string
}

/** The variables that may configure a broker, in the order of their names. Whether their keys exist is not looked at. */
export function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): EnvironmentEntry[] {
  const entries: EnvironmentEntry[] = []
  for (const variable of Object.keys(environment).sort()) {
    const value = environment[variable]
    if (value === undefined || !variable.startsWith('KAFKA_')) continue
    if (OTHER_VARIABLES.has(variable) || OTHER_PREFIXES.some((prefix) => variable.startsWith(prefix))) continue
    // The other wide-spread image says KAFKA_CFG_.
    entries.push({ variable, key: keyOf(variable.replace(/^KAFKA_(CFG_)?/, '')), value })
  }
  return entries
}

const SEPARATORS: Readonly<Record<number, string>> = { 1: '.', 2: '_', 3: '-' }

function keyOf(name: string): string {
  return name.toLowerCase().replace(/_{1,3}/g, (underscores) => SEPARATORS[underscores.length])
}
