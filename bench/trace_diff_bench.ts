// `hookline diff` of two traces of a million records each: its time beside JSON.parse of the same lines,
// which lie in memory as strings already, and the largest memory of the real command. The candidate's
// numbers differ from the reference's in their last digits, as those of another runtime do.

import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { diffTraces } from "../parity/trace_diff.ts";
import type { Bench } from "./bench.ts";
import { type BenchRow, compareContestants, makeRow } from "./bench_row.ts";
import { measureChild } from "./child_measure.ts";
import { race } from "./harness.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const RECORDS = 1_000_000;
const BLOCKS = 24;
const LEAVES = ["ln_1", "attn.c_attn", "attn.c_proj", "attn", "ln_2", "mlp.c_fc", "mlp.act", "mlp"];
const MODULES = BLOCKS * LEAVES.length;
const CALLS_PER_STEP = 2;
/** How many lines of each file the peer holds: parsing them again and again is all that it does. */
const LINES_HELD = 50_000;
const MEGABYTE = 1e6;

/** `trace_diff`: time over JSON.parse, and memory. */
export const traceDiffBench: Bench = {
  name: "trace_diff",
  description: "diff of two traces of a million records: time over JSON.parse alone, and memory",
  async run({ models, rounds, log }) {
    log(`trace_diff: writing 2 traces of ${RECORDS} records`);
    const reference = join(models.path, "reference.jsonl");
    const candidate = join(models.path, "candidate.jsonl");
    const held = [writeTrace(reference, 0), writeTrace(candidate, 1)];
    log("trace_diff: parsing and comparing, in turn");
    const found = await race([
      { name: "parse", run: () => parseHeld(held) },
      { name: "diff", run: () => compareFiles(reference, candidate) },
    ], { rounds: rounds(7), warmup: 1 });
    const time = compareContestants(found, { ours: "diff", peer: "parse" }, {
      name: "trace_diff.time",
      versus: "JSON.parse of the same lines, each a string in memory already",
      unit: "ms",
      target: { field: "ratio", limit: 1.6 },
    });
    log("trace_diff: memory of the command");
    const rows: BenchRow[] = [time];
    const ours = await peakOf(["cli/main.ts", "diff", reference, candidate, "--json"]);
    const peer = await peakOf(["cli/main.ts", "--version"]);
    if (ours !== null && peer !== null) {
      rows.push(makeRow({
        name: "trace_diff.memory",
        versus: "the same program printing its version",
        unit: "MB",
        ours: [ours / MEGABYTE],
        peer: [peer / MEGABYTE],
      }));
    }
    return rows;
  },
};

/** Writes a trace and gives its first lines. */
function writeTrace(path: string, side: number): string[] {
  const held: string[] = [];
  const file = openSync(path, "w");
  try {
    let text = "";
    for (let index = 0; index < RECORDS; index++) {
      const line = recordLine(index, side);
      if (held.length < LINES_HELD) held.push(line);
      text += `${line}\n`;
      if (text.length < 1 << 20) continue;
      writeSync(file, text);
      text = "";
    }
    writeSync(file, text);
  } finally {
    closeSync(file);
  }
  return held;
}

function recordLine(index: number, side: number): string {
  const module = index % MODULES;
  const step = Math.floor(index / (MODULES * CALLS_PER_STEP));
  const value = (salt: number) => Math.fround(Math.sin(index + salt)) * (1 + side * 1e-7);
  return JSON.stringify({
    module: `transformer.h.${Math.floor(module / LEAVES.length)}.${LEAVES[module % LEAVES.length]}`,
    tensor: "out",
    step,
    abs_mean: Math.abs(value(1)),
    sum: value(2) * 100,
    min: -Math.abs(value(3)),
    max: Math.abs(value(4)),
    mean: value(5) * 0.01,
    std: Math.abs(value(6)),
    shape: [2, 128, 768],
    dtype: "torch.float32",
  });
}

function parseHeld(files: readonly (readonly string[])[]): number {
  let sum = 0;
  for (let round = 0; round < RECORDS / LINES_HELD; round++) {
    for (const lines of files) {
      for (const line of lines) sum += (JSON.parse(line) as { readonly sum: number }).sum;
    }
  }
  return sum;
}

/** A comparison that did not compare must not count as fast. */
async function compareFiles(reference: string, candidate: string): Promise<void> {
  const { status, compared } = await diffTraces(reference, candidate);
  if (status !== "same" || compared !== RECORDS) throw new Error(`${status}: ${compared} compared`);
}

async function peakOf(args: readonly string[]): Promise<number | null> {
  const command = [Deno.execPath(), "run", "--no-check", "--no-prompt", "--allow-read", ...args];
  const { peakByteLength } = await measureChild(command, { cwd: ROOT, peak: true });
  return peakByteLength;
}
