// Quotas of users, client ids and addresses, as kafka-configs shows and sets them.

import type { QuotaEntity, QuotaFilter } from '../client/admin/config-admin.ts'
import type { Admin } from '../client/admin.ts'
import { UsageError } from './tool.ts'

/** The tool's word for each, and the protocol's. */
const ENTITY_TYPES: Readonly<Record<string, string>> = { users: 'user', clients: 'client-id', ips: 'ip' }
const SHOWN: Readonly<Record<string, string>> = { user: 'user-principal', 'client-id': 'client-id', ip: 'ip' }

const CLIENT_QUOTAS = ['producer_byte_rate', 'consumer_byte_rate', 'request_percentage', 'controller_mutation_rate']
const IP_QUOTAS = ['connection_creation_rate']

export function isQuotaType(type: string): boolean {
  return type in ENTITY_TYPES
}

export async function describeQuotas(admin: Admin, types: readonly string[], names: readonly string[]): Promise<void> {
  for (const { entity, values } of await admin.configs.describeQuotas(filters(types, names), { strict: true })) {
    const parts = Object.keys(SHOWN).flatMap((type) => {
      const part = entity.find(({ entityType }) => entityType === type)
      if (part === undefined) return []
      return [part.entityName ? `${SHOWN[type]} '${part.entityName}'` : `the default ${SHOWN[type]}`]
    })
    const quotas = Object.entries(values).map(([key, value]) => `${key}=${javaDouble(value)}`)
    console.log(`Quota configs for ${parts.join(', ')} are ${quotas.join(', ')}`)
  }
}

/** Throws UsageError for keys that are no quotas, for values that are no numbers, and for deleting what is not set. */
export async function alterQuotas(
  admin: Admin,
  types: readonly string[],
  names: readonly string[],
  added: ReadonlyMap<string, string>,
  deleted: readonly string[],
): Promise<void> {
  const known = types[0] === 'ips' ? IP_QUOTAS : CLIENT_QUOTAS
  const unknown = [...added.keys(), ...deleted].filter((key) => !known.includes(key))
  if (unknown.some((key) => /^SCRAM-/i.test(key))) throw new UsageError('SCRAM credentials cannot be altered by this tool yet')
  if (unknown.length > 0) {
    throw new UsageError(
      `Only quota configs can be altered for '${types.join("' and '")}'. Unexpected config names: ${unknown.join()}`,
    )
  }
  if (deleted.length > 0) {
    const [entry] = await admin.configs.describeQuotas(filters(types, names), { strict: true })
    const missing = deleted.filter((key) => entry?.values[key] === undefined)
    if (missing.length > 0) throw new UsageError(`Invalid config(s): ${missing.join()}`)
  }
  const quotas: Record<string, number | null> = {}
  for (const key of deleted) quotas[key] = null
  for (const [key, value] of added) {
    const number = Number(value)
    if (value.trim() === '' || Number.isNaN(number))
      throw new UsageError(`Cannot parse quota configuration value for ${key}: ${value}`)
    quotas[key] = number
  }
  const entity = types.map((type, index): QuotaEntity => ({ entityType: ENTITY_TYPES[type], entityName: names[index] || null }))
  await admin.configs.alterQuotas([{ entity, quotas }])
}

function filters(types: readonly string[], names: readonly string[]): QuotaFilter[] {
  return types.map((type, index) => {
    const name = names.at(index)
    return { entityType: ENTITY_TYPES[type], match: name === undefined ? 'any' : name === '' ? 'default' : { name } }
  })
}

/** As Java prints a double: with a fraction always, and an exponent from 10^7 on. */
function javaDouble(value: number): string {
  if (value !== 0 && (Math.abs(value) >= 1e7 || Math.abs(value) < 1e-3)) {
    const [digits, exponent] = value.toExponential().split('e')
    return `${digits.includes('.') ? digits : `${digits}.0`}E${Number(exponent)}`
  }
  return Number.isInteger(value) ? `${value}.0` : String(value)
}
