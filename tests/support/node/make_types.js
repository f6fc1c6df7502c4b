// Writes the TypeScript types of every schema in a folder into another: make_types.js FROM TO
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { compileFromFile } = require('json-schema-to-typescript');

const [from, to] = process.argv.slice(2);

async function main() {
  for (const name of fs.readdirSync(from)) {
    const types = await compileFromFile(path.join(from, name));
    fs.writeFileSync(path.join(to, name.replace(/json$/, 'd.ts')), types);
  }
}

main();
