// Prints what the official validator thinks of each document; 1 when it thinks badly of one.
const { readFileSync } = require("node:fs");
const { Parser } = require("@asyncapi/parser");

const SEVERITIES = ["error", "warning", "information", "hint"];

async function main(files) {
  let bad = 0;
  for (const file of files) {
    const { document, diagnostics } = await new Parser().parse(readFileSync(file, "utf8"));
    for (const { severity, code, message, path } of diagnostics) {
      console.log(`${file}: ${SEVERITIES[severity]} ${code} at ${path.join(".")}: ${message}`);
    }
    if (!document || diagnostics.some(({ severity }) => severity < 2)) bad += 1;
    else console.log(`${file}: valid`);
  }
  process.exitCode = bad ? 1 : 0;
}

main(process.argv.slice(2));
