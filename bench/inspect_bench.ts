// `hookline inspect` of a model with more than 2 GB of weights inside the file: the real command, its
// wall time and its largest memory, beside decoding a whole file with onnx-buf in a process of its own.
// The file was just written, so it lies in the page cache for both.

import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import { fileURLToPath } from "node:url";
import type { Bench, ModelFile } from "./bench.ts";
import { type BenchRow, compareContestants, makeRow } from "./bench_row.ts";
import { type ChildMeasure, measureChild } from "./child_measure.ts";
import { race } from "./harness.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const MEGABYTE = 1e6;

/** `inspect`: wall time and memory of the command. */
export const inspectBench: Bench = {
  name: "inspect",
  description: "the inspect command on more than 2 GB of inline weights: time and memory",
  async run({ models, rounds, log }) {
    log("inspect: writing 2.1 GB");
    const large = models.large();
    // Decoding holds the file's bytes, and copies while it reads them.
    const decoded = freemem() > 3 * large.fileByteLength ? large : models.transformer();
    const versus = `onnx-buf decoding a ${gigabytes(decoded)} file in a process of its own`;
    const inspect = inspectCommand(large.path);
    const decode = decodeCommand(decoded.path);
    requireDocument(await measureChild(inspect, { cwd: ROOT }), large);
    log("inspect: time");
    const found = await race([
      { name: "decode", run: () => measureChild(decode, { cwd: ROOT }) },
      { name: "inspect", run: () => measureChild(inspect, { cwd: ROOT }) },
    ], { rounds: rounds(7), warmup: 1 });
    const time = compareContestants(found, { ours: "inspect", peer: "decode" }, {
      name: "inspect.time",
      versus,
      unit: "ms",
      target: { field: "value", limit: 300 },
    });
    log("inspect: memory");
    return [time, ...await memoryRows(inspect, decode, { versus, rounds: rounds(3) })];
  },
};

async function memoryRows(
  inspect: readonly string[],
  decode: readonly string[],
  given: { readonly versus: string; readonly rounds: number },
): Promise<BenchRow[]> {
  const ours: number[] = [];
  const peer: number[] = [];
  for (let round = 0; round < given.rounds; round++) {
    const decoding = await measureChild(decode, { cwd: ROOT, peak: true });
    const inspecting = await measureChild(inspect, { cwd: ROOT, peak: true });
    // Where the system does not tell, there is no row rather than a guess.
    if (decoding.peakByteLength === null || inspecting.peakByteLength === null) return [];
    peer.push(decoding.peakByteLength / MEGABYTE);
    ours.push(inspecting.peakByteLength / MEGABYTE);
  }
  return [makeRow({
    name: "inspect.memory",
    versus: given.versus,
    unit: "MB",
    ours,
    peer,
    target: { field: "value", limit: 120 },
  })];
}

function decodeCommand(path: string): string[] {
  const script = fileURLToPath(new URL("./decode_whole.ts", import.meta.url));
  return [Deno.execPath(), "run", "--no-prompt", "--allow-read", script, path];
}

/** The command as `deno task hookline` runs it, without the task runner's own time. */
function inspectCommand(path: string): string[] {
  const config: unknown = JSON.parse(readFileSync(`${ROOT}/deno.json`, "utf8"));
  const { tasks } = config as { tasks: Record<string, { command: string } | undefined> };
  const words = (tasks["hookline"]?.command ?? "").split(" ");
  const start = words.indexOf("deno");
  if (start < 0) throw new Error("deno.json has no task hookline that runs deno");
  return [Deno.execPath(), ...words.slice(start + 1), "inspect", path, "--json"];
}

/** A command that fails, or sees another model, must not count as fast. */
function requireDocument(measure: ChildMeasure, large: ModelFile): void {
  const document = JSON.parse(measure.stdout) as {
    model?: { weightBytes?: number };
    modules?: readonly { path: string }[];
  };
  const paths = document.modules?.map((module) => module.path) ?? [];
  if (
    document.model?.weightBytes !== large.weightByteLength || !paths.includes("blocks.23.mlp.act")
  ) {
    throw new Error("inspect printed another document than the large model's");
  }
}

function gigabytes(file: ModelFile): string {
  return `${(file.fileByteLength / 1e9).toFixed(1)} GB`;
}
