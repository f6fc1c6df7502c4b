// Prints what AsyncAPI's own parser has to say of the document on stdin, as JSON.
'use strict';

const { Parser } = require('@asyncapi/parser');

new Parser().parse(require('node:fs').readFileSync(0, 'utf8')).then(({ document, diagnostics }) => {
  const found = diagnostics.map(({ code, severity, message, path }) => ({ code, severity, message, path }));
  console.log(JSON.stringify({ channels: document ? document.channels().length : 0, found }));
});
