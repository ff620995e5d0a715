// Runs the benchmarks and prints ratios: `deno task bench [--json] [--only NAME]… [--rounds N]
// [--threads N]`. Standard output holds the table or the one JSON document, standard error the progress.

import { parseArgs } from "node:util";
import { chooseEngine } from "../sessions/engine_choice.ts";
import { availableCores } from "../sessions/thread_budget.ts";
import { type Bench, type BenchContext, ModelFolder } from "./bench.ts";
import { type BenchRow, formatTable } from "./bench_row.ts";
import { captureBench } from "./capture_bench.ts";
import { dispatchBench } from "./dispatch_bench.ts";
import { inspectBench } from "./inspect_bench.ts";
import { isolationBench } from "./isolation_bench.ts";
import { nativeBench } from "./native_bench.ts";
import { offloadBench } from "./offload_bench.ts";
import { openBench } from "./open_bench.ts";
import { editedBench, splitBench, tappedBench } from "./plans_bench.ts";
import { traceBench } from "./trace_bench.ts";
import { traceDiffBench } from "./trace_diff_bench.ts";
import { wholeBench } from "./whole_bench.ts";

/** Every benchmark, in running order. */
export const BENCHES: readonly Bench[] = [
  wholeBench,
  tappedBench,
  splitBench,
  editedBench,
  dispatchBench,
  openBench,
  inspectBench,
  traceBench,
  captureBench,
  traceDiffBench,
  nativeBench,
  isolationBench,
  offloadBench,
];

interface Call {
  readonly json: boolean;
  readonly benches: readonly Bench[];
  readonly rounds: number | null;
  readonly threads: number;
}

class UsageError extends Error {}

/** Runs the benches one after another on one set of models. */
export async function runBenches(
  benches: readonly Bench[],
  options: Omit<BenchContext, "models">,
): Promise<BenchRow[]> {
  // Who opens the first session decides whether sessions can share threads: Hookline, as for its users.
  await (await chooseEngine("auto")).engine.version();
  using models = new ModelFolder();
  const rows: BenchRow[] = [];
  for (const bench of benches) rows.push(...await bench.run({ ...options, models }));
  return rows;
}

function readCall(args: readonly string[]): Call {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
      rounds: { type: "string" },
      threads: { type: "string" },
    },
  });
  const names = BENCHES.map((bench) => bench.name);
  const unknown = values.only.filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    throw new UsageError(`no benchmark ${unknown.join(", ")}: there are ${names.join(", ")}`);
  }
  return {
    json: values.json,
    benches: BENCHES.filter(({ name }) => values.only.length === 0 || values.only.includes(name)),
    rounds: values.rounds === undefined ? null : positive("--rounds", values.rounds),
    threads: values.threads === undefined
      ? availableCores()
      : positive("--threads", values.threads),
  };
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new UsageError(`${option} ${text}: use a positive whole number`);
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const { json, benches, rounds, threads } = readCall(args);
    const rows = await runBenches(benches, {
      threads,
      rounds: (usual) => rounds ?? usual,
      log: (message) => console.error(message),
    });
    console.log(json ? JSON.stringify(rows, null, 2) : formatTable(rows));
    return 0;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const isUsage = error instanceof UsageError ||
      (error instanceof TypeError && "code" in error);
    const code = isUsage ? "CLI_USAGE" : "INTERNAL";
    const fix = isUsage ? "see bench/main.ts for the options" : "see the stack on standard error";
    if (args.includes("--json")) console.log(JSON.stringify({ error: { code, message, fix } }));
    console.error(isUsage ? message : error);
    return 2;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
