// The child process of the fuzz: runs the cases FROM, FROM + STRIDE, … below TO and says before each
// which one it is, so that the parent knows what a hang or a crash was about.
// Usage: deno run -A tests/fuzz/case_script.ts SEED FROM TO [STRIDE [MILLISECONDS]]

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadCorpus } from "./corpus.ts";
import { fileDifference, fuzzModel, runCase } from "./fuzz_case.ts";

const [seed = 0, from = 0, to = 0, stride = 1, limitMs = Infinity] = Deno.args.map(Number);
const start = performance.now();
const folder = mkdtempSync(join(tmpdir(), "hookline-fuzz-"));
const path = join(folder, "model.onnx");
const corpus = loadCorpus();
const text = new TextEncoder();

function say(line: unknown): void {
  const bytes = text.encode(JSON.stringify(line) + "\n");
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
}

for (let index = from; index < to; index += stride) {
  if (performance.now() - start > limitMs) break;
  say({ begins: index });
  const model = fuzzModel(corpus, seed, index);
  const result = runCase(model);
  const finding = result.finding ?? fileDifference(model, path, result.outcome);
  say({ index, base: model.base.name, ...result, ...(finding === undefined ? {} : { finding }) });
}
rmSync(folder, { recursive: true });
