// The byte budget as the operating system sees it: two comparisons in processes of their own, one with a
// budget that everything fits in and one without. What a process takes at most is asked of the system.

import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../../suites.ts";

const CHILD = join(import.meta.dirname ?? "", "_compare_child.ts");
const [BLOCKS, WIDTH] = [32, 1_048_576]; // activations of 4 MiB, 134 MB on each side

interface ChildResult {
  readonly named: readonly string[];
  readonly memory: { readonly peakByteLength: number; readonly spilledByteLength: number };
  readonly peakResidentByteLength: number;
}

async function compareIn(memory: number): Promise<ChildResult> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--config",
      join(ROOT, "deno.json"),
      "-A",
      CHILD,
      ...[memory, BLOCKS, WIDTH].map(String),
    ],
  }).output();
  const decoder = new TextDecoder();
  assert.equal(code, 0, decoder.decode(stderr));
  return JSON.parse(decoder.decode(stdout)) as ChildResult;
}

Deno.test("a small budget keeps the process small", async () => {
  const wide = await compareIn(4_000_000_000);
  const narrow = await compareIn(33_554_432);
  assert.deepEqual([wide.named, narrow.named], [["blocks.16"], ["blocks.16"]]);
  assert.ok(narrow.memory.peakByteLength <= 33_554_432, `${narrow.memory.peakByteLength}`);
  assert.ok(narrow.memory.spilledByteLength > 100_000_000);
  assert.equal(wide.memory.spilledByteLength, 0);
  const saved = wide.peakResidentByteLength - narrow.peakResidentByteLength;
  assert.ok(saved > 100_000_000, `${wide.peakResidentByteLength} ${narrow.peakResidentByteLength}`);
});
