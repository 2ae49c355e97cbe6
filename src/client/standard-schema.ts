// The Standard Schema interface, version 1: what Zod, Valibot, ArkType and others offer under `~standard`, so that any of them can say
// what a value must look like. Written from the specification (https://standardschema.dev); types only, nobody has to install it.

export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    /** Never throws for a value that does not fit. */
    readonly validate: (value: unknown) => Validated<Output> | Promise<Validated<Output>>
    /** Of no meaning when it runs. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type Validated<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What goes into a schema, and what it makes of it. */
export type InputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input']
export type OutputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output']

/** `items[2].price: must be positive; …` */
export function issuesText(issues: readonly SchemaIssue[]): string {
  return issues.map(({ path, message }) => (path?.length ? `${pathText(path)}: ${message}` : message)).join('; ')
}

/** `items[2].price` */
export function pathText(path: NonNullable<SchemaIssue['path']>): string {
  return path
    .map((part) => (typeof part === 'object' ? part.key : part))
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${String(key)}`))
    .join('')
}
