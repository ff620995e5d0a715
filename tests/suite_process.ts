// Runs one suite in a child process and says what became of it. A crash, a hang, a test file that no
// test ran from and a skip without a reason are failures, whatever the exit status says.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { makeStage } from "./docs/stage.ts";
import { parseJunitReport, type ReportedTest } from "./junit_report.ts";
import { STRICT } from "./strict.ts";
import { ROOT, type Suite } from "./suites.ts";

/** How long one suite may take before it is killed. */
const SUITE_LIMIT_MS = 600_000;
/** What became of one suite. */
export interface SuiteOutcome {
  /** How many tests passed. */
  readonly passed: number;
  /** One line for each failure. */
  readonly failures: readonly string[];
  /** One line for each skip. */
  readonly skips: readonly string[];
  /** What the process printed; empty when it printed to the terminal itself. */
  readonly output: string;
}

/** Runs a suite; `verbose` lets it print to the terminal. */
export async function runSuite(
  suite: Suite,
  verbose: boolean,
  limitMs: number = SUITE_LIMIT_MS,
): Promise<SuiteOutcome> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-suite-"));
  const report = join(folder, "junit.xml");
  const stage = suite.staged ? makeStage(ROOT) : undefined;
  try {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["test", `--junit-path=${report}`, ...suite.args, ...suite.files],
      cwd: stage?.path ?? ROOT,
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ORT_DISABLE_TELEMETRY: "1" },
      stdin: "null",
      stdout: verbose ? "inherit" : "piped",
      stderr: verbose ? "inherit" : "piped",
    }).spawn();
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
    }, limitMs);
    const { output, status } = await collect(child, verbose);
    clearTimeout(timer);
    return judge(suite, readReport(report), status, timedOut ? limitMs : undefined, output);
  } finally {
    stage?.[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  }
}

async function collect(
  child: Deno.ChildProcess,
  verbose: boolean,
): Promise<{ output: string; status: Deno.CommandStatus }> {
  if (verbose) return { output: "", status: await child.status };
  const [out, err, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.status,
  ]);
  return { output: out + err, status };
}

function readReport(path: string): ReportedTest[] | undefined {
  try {
    return parseJunitReport(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

function judge(
  suite: Suite,
  tests: readonly ReportedTest[] | undefined,
  status: Deno.CommandStatus,
  limitMs: number | undefined,
  output: string,
): SuiteOutcome {
  const failures: string[] = [];
  const skips: string[] = [];
  let passed = 0;
  for (const test of tests ?? []) {
    if (test.outcome === "passed") passed++;
    else if (test.outcome === "failed") failures.push(`${suite.name}: ${test.name}`);
    else {
      skips.push(`${suite.name}: ${test.name}`);
      if (test.reason === undefined) {
        failures.push(`${suite.name}: ${test.name} is skipped without a reason (see skippable.ts)`);
      }
    }
  }
  if (limitMs !== undefined) failures.push(`${suite.name}: killed after ${limitMs / 1000} s`);
  else if (status.signal !== null) {
    failures.push(`${suite.name}: the process crashed with ${status.signal}`);
  } else if (tests === undefined) {
    failures.push(`${suite.name}: exit status ${status.code} and no report`);
  } else {
    for (const file of suite.files) {
      if (!tests.some((test) => resolve(ROOT, test.file) === resolve(ROOT, file))) {
        failures.push(`${suite.name}: no test of ${file} ran`);
      }
    }
    if (!status.success && failures.length === 0) {
      failures.push(`${suite.name}: exit status ${status.code} without a failed test`);
    }
    if (STRICT && passed === 0) failures.push(`${suite.name}: no test passed`);
  }
  return { passed, failures, skips, output };
}
