// Layerwise offload of 24 equal blocks, 1.06 GB, 128 tokens: time beside fully resident weights, time with
// nothing cached beside reading the file, memory beside a block and beside the forecast. Each measurement
// has a process of its own; within one, ours and the peer take turns.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ResidencySchedule } from "../pipeline/residency/schedule.ts";
import type { Bench } from "./bench.ts";
import { type BenchRow, makeRow } from "./bench_row.ts";
import { measureChild } from "./child_measure.ts";
import { median } from "./statistics.ts";

const CHILD = fileURLToPath(new URL("offload_child.ts", import.meta.url));
const MEGABYTE = 1e6;

interface Hot {
  readonly offloaded: readonly number[];
  readonly resident: readonly number[];
}
interface Cold {
  readonly offloaded: readonly number[];
  readonly read: readonly number[];
}
interface Memory {
  readonly found: readonly { readonly before: number; readonly peak: number }[];
  readonly residency: ResidencySchedule;
}

/** `offload`: time and memory. */
export const offloadBench: Bench = {
  name: "offload",
  description: "layerwise offload of 1.06 GB: time hot and cold, memory and its forecast",
  async run({ models, rounds, threads, log }) {
    if (Deno.build.os !== "linux") return []; // memory is steered and measured on Linux alone
    log("offload: writing 1.06 GB");
    const { path } = models.blocks();
    const cacheFolder = join(models.path, "prepacked");
    const child = async <Result>(
      mode: string,
      options: Readonly<Record<string, unknown>>,
      count: number,
    ): Promise<Result> => {
      const args = [mode, path, JSON.stringify(options), String(count), String(threads)];
      const { stdout } = await measureChild([Deno.execPath(), "run", "-A", CHILD, ...args]);
      return JSON.parse(stdout) as Result;
    };
    const rows: BenchRow[] = [];
    for (const [name, options] of [["prepacked", { cacheFolder }], ["mapped", {}]] as const) {
      log(`offload: ${name}`);
      const hot = await child<Hot>("hot", options, rounds(9));
      const resident = median([...hot.resident]);
      rows.push(makeRow({
        name: `offload.hot.${name}`,
        versus: "the resident model, prepacked, files cached",
        unit: "ms",
        ours: hot.offloaded,
        peer: hot.resident,
        ...(name === "prepacked" ? { target: { field: "ratio", limit: 1.3 } as const } : {}),
      }));
      const cold = await child<Cold>("cold", options, rounds(5));
      rows.push(makeRow({
        name: `offload.cold.${name}`,
        versus: "the larger of reading the file and the resident model's time, nothing cached",
        unit: "ms",
        ours: cold.offloaded,
        peer: cold.read.map((read) => Math.max(read, resident)),
        target: { field: "ratio", limit: 1.2 },
      }));
      const memories: Memory[] = [];
      for (let process = 0; process < rounds(3); process++) {
        memories.push(await child<Memory>("memory", options, 1));
      }
      rows.push(...memoryRows(name, memories));
    }
    return rows;
  },
};

/** Peaks of first runs above the memory before: beside the size of a block, and beside the forecast. */
function memoryRows(name: string, memories: readonly Memory[]): BenchRow[] {
  const above = memories.flatMap(({ found: [first] }) =>
    first === undefined ? [] : [(first.peak - first.before) / MEGABYTE]
  );
  const [memory] = memories;
  if (memory === undefined) return [];
  const { residency } = memory;
  const block = Math.max(...residency.blocks.map((each) => each.byteLength)) / MEGABYTE;
  const foretold = residency.forecast.peakByteLength / MEGABYTE;
  return [
    makeRow({
      name: `offload.peak.${name}`,
      versus: "one block's weights",
      unit: "MB",
      ours: above,
      peer: above.map(() => block),
      target: { field: "ratio", limit: 2.5 },
    }),
    makeRow({
      name: `offload.forecast.${name}`,
      versus: "nothing: how far the forecast is off, in parts of the measured peak",
      unit: "",
      ours: above.map((each) => Math.abs(foretold - each) / each),
      peer: above.map(() => 1),
      target: { field: "value", limit: 0.1 },
    }),
  ];
}
