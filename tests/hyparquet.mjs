// Reads recordings with hyparquet, for tests/engines.py: hyparquet.mjs ONE DIRECTORY MIXED prints the rows by kind of one recording, the
// rows of a directory, and of recordings of two versions their rows and the sum of the new column.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

const read = async path => parquetReadObjects({ file: await asyncBufferFromFile(path), compressors })
const readAll = async directory => (await Promise.all(readdirSync(directory).map(name => read(join(directory, name))))).flat()

const [one, directory, mixed] = process.argv.slice(2)
const kinds = {}
for (const { kind } of await read(one)) kinds[kind] = (kinds[kind] ?? 0) + 1
const both = await readAll(mixed)
const sum = both.reduce((sum, row) => sum + Number(row.later_thing_ns ?? 0n), 0)
console.log(JSON.stringify([kinds, (await readAll(directory)).length, [both.length, sum]]))
