// Runs every suite in a process of its own and ends in one line, `N passed, N failed`, with the real
// counts. A suite that crashes, hangs or leaves a file untested is a failure with its name.
// Usage: deno task test [--unit] [--verbose] [SUITE…]

import process from "node:process";
import { STRICT } from "./strict.ts";
import { runSuite } from "./suite_process.ts";
import { listSuites, UNSANITIZED } from "./suites.ts";

/** How much of a failed suite's output is shown. */
const SHOWN_LINES = 400;

async function main(args: readonly string[]): Promise<number> {
  const verbose = args.includes("--verbose");
  const unit = args.includes("--unit");
  const names = args.filter((arg) => !arg.startsWith("--"));
  const all = listSuites();
  const unknown = names.filter((name) => !all.some((suite) => suite.name === name));
  if (unknown.length > 0) {
    console.error(`No suite ${unknown.join(", ")}; there are ${all.map((s) => s.name).join(", ")}`);
    return 2;
  }
  const chosen = all.filter((suite) =>
    (!unit || suite.pure) && (names.length === 0 || names.includes(suite.name))
  );
  const skips: string[] = [];
  const failures: string[] = [];
  let passed = 0;
  for (const suite of chosen) {
    const start = performance.now();
    const outcome = await runSuite(suite, verbose);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    passed += outcome.passed;
    skips.push(...outcome.skips);
    failures.push(...outcome.failures);
    const bad = outcome.failures.length;
    console.log(
      `${bad === 0 ? "ok  " : "FAIL"} ${suite.name.padEnd(14)} ${outcome.passed} passed, ` +
        `${bad} failed, ${outcome.skips.length} skipped (${seconds} s)` +
        (suite.pure ? ", no permissions" : ""),
    );
    if (bad > 0) console.log(outcome.output.split("\n").slice(-SHOWN_LINES).join("\n"));
  }
  for (const [name, reason] of Object.entries(UNSANITIZED)) {
    console.log(`note: ${name} runs without sanitizers: ${reason}`);
  }
  if (!all.some(({ staged }) => staged)) console.log("note: no mod.ts yet, so no doc comments ran");
  if (!STRICT) console.log("note: STRICT is off (tests/strict.ts): missing pages are only skipped");
  for (const skip of skips) console.log(`skip: ${skip}`);
  for (const failure of failures) console.log(`fail: ${failure}`);
  console.log(`${passed} passed, ${failures.length} failed`);
  return failures.length === 0 && passed > 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(Deno.args));
