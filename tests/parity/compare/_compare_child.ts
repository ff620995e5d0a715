// Compares two chains in a process of its own and prints how much memory that took. Run by
// compare_memory_test.ts.

import process from "node:process";
import { compareModels } from "../../../parity/compare/compare_models.ts";
import { rampTensor } from "../../support/run_model.ts";
import { chainModel } from "./_chain_model.ts";

const [memory = 0, blocks = 0, width = 0] = process.argv.slice(2).map(Number);
const report = await compareModels(
  chainModel({ blocks, width }),
  chainModel({ blocks, width, altered: blocks >> 1 }),
  { feeds: { x: rampTensor([1, width]) }, memory },
);
console.log(JSON.stringify({
  named: report.introducedBy.map(({ module }) => module),
  memory: report.memory,
  // Linux and macOS agree on kilobytes here: node:process converts.
  peakResidentByteLength: process.resourceUsage().maxRSS * 1024,
}));
