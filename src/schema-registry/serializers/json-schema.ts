// JSON values in a registry's wire format, validated on both sides.

import { Ajv, type ValidateFunction } from 'ajv'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { Codec } from '../../client/serializers.ts'
import { type RegistryCodecOptions, registryCodec, SchemaMismatchError } from './registry-codec.ts'

export interface JsonSchemaOptions extends RegistryCodecOptions {
  /** Default true, on both sides. */
  readonly validate?: boolean
}

type Named = readonly { readonly name: string; readonly schema: string }[]

/**
 * A codec for values of a JSON Schema, given as an object or as text: drafts 6, 7, 2019-09 and 2020-12. Without a schema it only reads, and
 * validates with the schema that was written with. `format` is an annotation, as the standard has it: nothing is refused for it.
 */
export function jsonSchema<T>(schema: object | string | undefined, options: JsonSchemaOptions): Codec<T> {
  const text = schema === undefined ? undefined : typeof schema === 'string' ? schema : JSON.stringify(schema)
  const validatorOf = (of: string, references: Named) => (options.validate === false ? () => {} : validator(of, references))
  return registryCodec<T>(
    {
      type: 'JSON',
      text,
      writer(references) {
        const validate = validatorOf(text!, references)
        return {
          write(value) {
            // As others will see it: without what JSON leaves out, dates as their text.
            const written = JSON.stringify(value)
            validate(JSON.parse(written))
            return Buffer.from(written)
          },
        }
      },
      reader(written, references, own) {
        const validate = text === undefined ? validatorOf(written.schema, references) : validatorOf(text, own)
        return (bytes) => {
          const value = JSON.parse(bytes.toString()) as T
          validate(value)
          return value
        }
      },
    },
    options,
  )
}

function validator(text: string, references: Named): (value: unknown) => void {
  const schema = JSON.parse(text) as { $schema?: string } | boolean
  const draft = typeof schema === 'object' ? (schema.$schema ?? '') : ''
  const Draft = draft.includes('2020-12') ? Ajv2020 : draft.includes('2019-09') ? Ajv2019 : Ajv
  const ajv = new Draft({ strict: false, validateFormats: false, allowUnionTypes: true, meta: true, validateSchema: false })
  for (const { name, schema } of references) ajv.addSchema(JSON.parse(schema) as object, name)
  const validate: ValidateFunction = ajv.compile(schema)
  return (value) => {
    if (validate(value)) return
    const [first] = validate.errors ?? []
    const { instancePath = '', message = 'does not fit', params = {} } = first ?? {}
    const detail = Object.entries(params as object)
      .filter(([key]) => key === 'additionalProperty' || key === 'allowedValues')
      .map(([, found]) => ` (${JSON.stringify(found)})`)
    throw new SchemaMismatchError(instancePath, `${message}${detail.join('')}`)
  }
}
