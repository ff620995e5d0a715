// Runs many cases in child processes: a child that hangs, crashes or runs out of memory costs one case,
// which becomes a finding, and another child goes on behind it.

import { fileURLToPath } from "node:url";
import { runWatched } from "./watched_process.ts";

/** Processor time that one case may take. */
export const SLOW_MS = 2_000;
/** How long a child may be silent before it is killed. */
const SILENCE_MS = 20_000;
/** Heap of a child, in MiB: a case that needs more has run away. */
const HEAP_MIB = 1024;
const SCRIPT = fileURLToPath(new URL("case_script.ts", import.meta.url));

/** What to run. */
export interface FuzzOptions {
  readonly seed: number;
  readonly count: number;
  /** Child processes at a time. */
  readonly workers: number;
  /** When to begin no further case, in milliseconds from the start; never when left out. */
  readonly deadlineMs?: number;
}

/** Something that must not happen, with the number of its case. */
export interface FuzzFinding {
  readonly index: number;
  readonly base: string;
  readonly what: string;
}

/** What came out. */
export interface FuzzReport {
  /** How many cases ran: all, or as many as the deadline allowed. */
  readonly cases: number;
  /** Numbers of the cases that Hookline takes for good models, ascending. */
  readonly survivors: readonly number[];
  /** How many cases ended how: `fine` or an error code. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly findings: readonly FuzzFinding[];
  readonly slowestMs: number;
}

interface CaseLine {
  readonly begins?: number;
  readonly index?: number;
  readonly base?: string;
  readonly outcome?: string;
  readonly finding?: string;
  readonly elapsedMs?: number;
}

/** Runs the cases 0 to `count - 1` of a seed. */
export async function runFuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { seed, count, workers, deadlineMs = Infinity } = options;
  const start = performance.now();
  const survivors: number[] = [];
  const outcomes = new Map<string, number>();
  const findings: FuzzFinding[] = [];
  let cases = 0;
  let slowestMs = 0;
  const finish = (line: CaseLine): void => {
    const { index = -1, base = "", outcome = "FINDING", elapsedMs = 0 } = line;
    cases++;
    if (outcome === "fine") survivors.push(index);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    slowestMs = Math.max(slowestMs, elapsedMs);
    if (line.finding !== undefined) findings.push({ index, base, what: line.finding });
    if (elapsedMs > SLOW_MS) {
      findings.push({ index, base, what: `took ${Math.round(elapsedMs)} ms` });
    }
  };
  const work = async (worker: number): Promise<void> => {
    for (let from = worker; from < count;) {
      let current = from;
      const end = await runWatched({
        program: Deno.execPath(),
        args: [
          "run",
          "-A",
          "--no-check",
          `--v8-flags=--max-old-space-size=${HEAP_MIB}`,
          SCRIPT,
          ...[seed, from, count, workers, deadlineMs - (performance.now() - start)].map(String),
        ],
        silenceMs: SILENCE_MS,
      }, (text) => {
        const line = JSON.parse(text) as CaseLine;
        if (line.begins === undefined) finish(line);
        else current = line.begins;
      });
      if (end.isClean) return;
      finish({ index: current, base: "?", finding: end.reason });
      from = current + workers;
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)));
  findings.sort((left, right) => left.index - right.index);
  survivors.sort((left, right) => left - right);
  return { cases, survivors, outcomes, findings, slowestMs };
}
