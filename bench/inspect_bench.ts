// `hookline inspect` of a model with more than 2 GB of weights inside the file: the real command, its
// wall time and its largest memory, beside decoding a whole file with onnx-buf in a process of its own.
// The file was just written, so it lies in the page cache for both.

import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import { fileURLToPath } from "node:url";
import type { Bench, ModelFile } from "./bench.ts";
import { compareContestants, makeRow } from "./bench_row.ts";
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
    const decode = new MeasuredCommand(decodeCommand(decoded.path));
    const inspect = new MeasuredCommand(inspectCommand(large.path));
    requireDocument(await inspect.run(), large);
    log("inspect: decoding everything and inspecting, in turn");
    const found = await race([
      { name: "decode", run: () => decode.run() },
      { name: "inspect", run: () => inspect.run() },
    ], { rounds: rounds(5), warmup: 1 });
    const time = compareContestants(found, { ours: "inspect", peer: "decode" }, {
      name: "inspect.time",
      versus,
      unit: "ms",
      target: { field: "value", limit: 300 },
    });
    const [ours, peer] = [inspect.lastPeaks(found.rounds), decode.lastPeaks(found.rounds)];
    // Where the system does not tell, there is no row rather than a guess.
    if (ours === null || peer === null) return [time];
    const target = { field: "value", limit: 120 } as const;
    return [time, makeRow({ name: "inspect.memory", versus, unit: "MB", ours, peer, target })];
  },
};

/** A command that remembers the peak of each of its runs. */
class MeasuredCommand {
  readonly #command: readonly string[];
  readonly #peaks: (number | null)[] = [];

  constructor(command: readonly string[]) {
    this.#command = command;
  }

  async run(): Promise<ChildMeasure> {
    const measure = await measureChild(this.#command, { cwd: ROOT, peak: true });
    this.#peaks.push(measure.peakByteLength);
    return measure;
  }

  /** The peaks of the last runs in megabytes, or null when one is not known. */
  lastPeaks(count: number): number[] | null {
    const known = this.#peaks.slice(-count).filter((peak) => peak !== null);
    return known.length === count ? known.map((peak) => peak / MEGABYTE) : null;
  }
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
