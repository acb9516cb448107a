// Judges the JSON Schema of rule files: reads { schema, good: [[name, value]], bad: [[name, value]] } from standard input and
// fails unless the schema is one, takes everything good and refuses everything bad.
import Ajv from 'ajv'
import addFormats from 'ajv-formats'
import { readFileSync } from 'node:fs'

const { schema, good, bad } = JSON.parse(readFileSync(0, 'utf8'))
const ajv = new Ajv({ allErrors: true, strict: true, strictRequired: false, allowUnionTypes: true })
addFormats(ajv)
const validate = ajv.compile(schema)
const wrong = []
for (const [name, value] of good) {
  if (!validate(value)) wrong.push(`${name} is refused: ${ajv.errorsText(validate.errors)}`)
}
for (const [name, value] of bad) {
  if (validate(value)) wrong.push(`${name} is taken`)
}
for (const line of wrong) console.error(line)
console.log(`${good.length} taken, ${bad.length} refused`)
process.exit(wrong.length === 0 ? 0 : 1)
