// Verifies many models in child processes: a child that dies or hangs costs its one model, and the next
// child goes on after it.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { SuiteModel } from "./suite_models.ts";
import type { ChildLine, ModelResult } from "./verify_child.ts";

/** What became of a model, or how its process ended. */
export type SuiteResult = ModelResult | { readonly kind: "process ended"; readonly why: string };

const QUIET_MS_MAX = 60_000;

/** The results by model name. */
export async function runSuite(models: readonly SuiteModel[]): Promise<Map<string, SuiteResult>> {
  const results = new Map<string, SuiteResult>();
  let rest = [...models];
  while (rest.length > 0) {
    const before = results.size;
    const running = await runChild(rest, results);
    if (running !== null) results.set(running.name, { kind: "process ended", why: running.why });
    rest = rest.filter((model) => !results.has(model.name));
    if (results.size === before) {
      throw new Error("a verify child verified nothing and named no model");
    }
  }
  return results;
}

/** Runs one child; returns the model that it was at when it ended before its time. */
async function runChild(
  models: readonly SuiteModel[],
  results: Map<string, SuiteResult>,
): Promise<{ name: string; why: string } | null> {
  const list = Deno.makeTempFileSync({ suffix: ".json" });
  writeFileSync(list, JSON.stringify(models));
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-prompt",
      "--no-check",
      fileURLToPath(new URL("verify_child.ts", import.meta.url)),
      list,
    ],
    env: { ORT_DISABLE_TELEMETRY: "1" },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let current: string | null = null;
  let isQuiet = false;
  const arm = (): ReturnType<typeof setTimeout> =>
    setTimeout(() => {
      isQuiet = true;
      child.kill("SIGKILL");
    }, QUIET_MS_MAX);
  let timer = arm();
  let text = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    clearTimeout(timer);
    timer = arm();
    const lines = (text + chunk).split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) {
      const said = JSON.parse(line) as ChildLine;
      if ("begin" in said) current = said.begin;
      else {
        results.set(said.end, said.result);
        current = null;
      }
    }
  }
  clearTimeout(timer);
  const { signal, code } = await child.status;
  Deno.removeSync(list);
  if (current === null) return null;
  return {
    name: current,
    why: isQuiet ? `no answer for ${QUIET_MS_MAX} ms` : signal ?? `exit status ${code}`,
  };
}
