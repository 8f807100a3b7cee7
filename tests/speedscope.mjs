// Reads profiles with speedscope's own importers, out of the bundle that its npm package ships, and prints what it found as JSON:
// for each file, the profiles with their total weight, and the self and total weight of each frame by name.
//
//     node tests/consumers/speedscope.mjs DIRECTORY-OF-SPEEDSCOPE FILE…
//
// The bundle draws as soon as it is run and exports nothing, so its last statements, which draw, are cut off for its importers.

import fs from 'node:fs'
import path from 'node:path'
import vm from 'node:vm'

const [directory, ...files] = process.argv.slice(2)
const release = path.join(directory, 'dist', 'release')
const name = fs.readdirSync(release).find(file => /^speedscope-\w+\.js$/.test(file))
const bundle = fs.readFileSync(path.join(release, name), 'utf8')
const importers = /\(await (\w+)\)\.importProfilesFromArrayBuffer/.exec(bundle)[1]
const draws = bundle.lastIndexOf('console.log(`speedscope v')
if (draws < 0) throw new Error('the bundle of speedscope has another form')

// As much of a browser as modules touch when they are loaded.
const anything = new Proxy(function () {}, { get: (_, key) => (key === Symbol.toPrimitive ? () => '' : anything), apply: () => anything, construct: () => anything, set: () => true })
const window = { location: { hash: '', search: '', protocol: 'file:' }, matchMedia: () => ({ matches: false, addListener() {}, addEventListener() {} }), addEventListener() {}, removeEventListener() {}, localStorage: { getItem: () => null, setItem() {} }, devicePixelRatio: 1 }
const context = vm.createContext({ window, self: window, document: anything, navigator: { userAgent: '', platform: '' }, location: window.location, localStorage: window.localStorage, console: { log() {}, warn() {}, error: console.error }, performance, setTimeout, clearTimeout, requestAnimationFrame() {}, cancelAnimationFrame() {}, TextDecoder, TextEncoder, URL, Blob, DecompressionStream, Uint8Array, ArrayBuffer, Response, matchMedia: window.matchMedia })
context.globalThis = context
vm.runInContext(bundle.slice(0, draws) + `globalThis.importers = ${importers}})();`, context)
const { importProfilesFromArrayBuffer } = await context.importers

const found = []
for (const file of files) {
  const bytes = fs.readFileSync(file)
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
  const group = await importProfilesFromArrayBuffer(path.basename(file), buffer)
  const profiles = (group ? group.profiles : []).map(profile => {
    const frames = {}
    profile.forEachFrame(frame => {
      const sums = (frames[frame.name] ??= { self: 0, total: 0 })
      sums.self += frame.getSelfWeight()
      sums.total += frame.getTotalWeight()
    })
    return { name: profile.getName(), unit: profile.getWeightUnit(), total: profile.getTotalWeight(), frames }
  })
  found.push({ file, profiles })
}
process.stdout.write(JSON.stringify(found))
