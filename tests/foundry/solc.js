#!/usr/bin/env node
// The Solidity compiler of npm's `solc`, with the little of solc's command line that forge uses.
const fs = require("fs");
const path = require("path");
const solc = require(path.join(__dirname, "../../.ci/node/foundry/node_modules/solc"));

if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (process.argv.includes("--standard-json")) {
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8")));
} else {
  console.error(`expected --version or --standard-json, got ${process.argv.slice(2).join(" ")}`);
  process.exit(1);
}
