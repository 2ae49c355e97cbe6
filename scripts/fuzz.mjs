// `npm run fuzz [-- ITERATIONS [SEED]]`: the `fuzz(iterations, seed)` of every *.fuzz.ts. The nightly run: `npm test` runs a few thousand of each.
import { globSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const iterations = Number(process.argv[2] ?? 100_000)
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31)
for (const file of globSync(['src/**/*.fuzz.ts', 'test/**/*.fuzz.ts']).sort()) {
  const start = performance.now()
  try {
    const { fuzz } = await import(pathToFileURL(resolve(file)).href)
    await fuzz(iterations, seed)
    console.log(`ok   ${file}: ${iterations} from seed ${seed} in ${Math.round(performance.now() - start)} ms`)
  } catch (error) {
    console.error(`FAIL ${file}, again with: npm run fuzz -- ${iterations} ${seed}`)
    console.error(error)
    process.exitCode = 1
  }
}
