// Gives survivors of the fuzz to ONNX Runtime in child processes. What crashes or hangs there is ONNX
// Runtime's own and is listed; what differs between plans, or ends in another error, is a finding.

import { fileURLToPath } from "node:url";
import type { FuzzFinding } from "./fuzz_run.ts";
import { runWatched } from "./watched_process.ts";

const SILENCE_MS = 30_000;
/** Memory that a child may write to, in KiB: damaged sizes ask for all there is. */
const DATA_KIB = 6_000_000;
const SCRIPT = fileURLToPath(new URL("session_script.ts", import.meta.url));

/** What came out. */
export interface SessionReport {
  readonly outcomes: ReadonlyMap<string, number>;
  readonly findings: readonly FuzzFinding[];
  /** Cases that ended or stopped the process. */
  readonly crashes: readonly FuzzFinding[];
}

interface SessionLine {
  readonly begins?: number;
  readonly index?: number;
  readonly base?: string;
  readonly outcome?: string;
  readonly finding?: string;
}

/** Runs the cases with these numbers. */
export async function runSessions(
  seed: number,
  numbers: readonly number[],
): Promise<SessionReport> {
  const outcomes = new Map<string, number>();
  const findings: FuzzFinding[] = [];
  const crashes: FuzzFinding[] = [];
  const count = (outcome: string): void =>
    void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  for (let left = [...numbers]; left.length > 0;) {
    let current = left[0] ?? 0;
    const deno = [Deno.execPath(), "run", "-A", "--no-check", SCRIPT, String(seed)];
    const command = [...deno, ...left.map(String)];
    const end = await runWatched(
      Deno.build.os === "linux"
        ? {
          program: "sh",
          args: ["-c", `ulimit -d ${DATA_KIB}; exec "$@"`, "sh", ...command],
          silenceMs: SILENCE_MS,
        }
        : { program: command[0] ?? "", args: command.slice(1), silenceMs: SILENCE_MS },
      (text) => {
        const { begins, index = -1, base = "", outcome = "", finding } = JSON.parse(
          text,
        ) as SessionLine;
        if (begins !== undefined) current = begins;
        else {
          count(outcome);
          if (finding !== undefined) findings.push({ index, base, what: finding });
        }
      },
    );
    if (end.isClean) break;
    count("crash or hang");
    crashes.push({ index: current, base: "?", what: end.reason });
    left = left.slice(left.indexOf(current) + 1);
  }
  return { outcomes, findings, crashes };
}
