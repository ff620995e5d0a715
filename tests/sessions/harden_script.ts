// A process that hardens itself, as a child of harden_test.ts: permissions that are gone cannot come back,
// so that no test of the suite could go on after it. Prints one line of JSON.
// deno run -A --no-prompt harden_script.ts MODEL ENGINE HOST_MODULE SPEC

import { readFileSync } from "node:fs";
import { HooklineError } from "../../errors/hookline_error.ts";
import { hostInProcess } from "../../manifest/isolation/process_host.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { harden } from "../../sessions/harden.ts";
import { openSessions } from "../../sessions/session_ledger.ts";
import { float32, type TensorMap } from "../../tensor/tensor.ts";
import { specOf } from "../manifest/isolation/_hosting.ts";

/** What the child says. */
export interface HardenOutcome {
  /** What harden() said, or the code of what it threw. */
  readonly hardened: readonly string[] | string;
  /** The model's output before, after, and of a second session that was opened after. */
  readonly outputs: readonly unknown[];
  /** The name of what each attempt threw, null where it went through. */
  readonly attempts: Readonly<Record<string, string | null>>;
  /** Engines of the open sessions at the end. */
  readonly engines: readonly string[];
  /** Whether a plugin's process could still be ended. */
  readonly pluginEnded: boolean;
}

const [path = "", engine] = Deno.args as [string, "napi" | "native" | "auto"];
const x: TensorMap = { x: float32([1], [-2]) };
const code = (error: unknown): string =>
  error instanceof HooklineError ? error.code : String(error);
const tryIt = async (action: () => unknown): Promise<string | null> => {
  try {
    await action();
    return null;
  } catch (error) {
    return (error as Error).name;
  }
};

await using first = await openModel(path, { engine });
const before = await first.run(x);
const plugin = await hostInProcess(specOf("observe"));
const hardened = await harden().then(({ revoked }) => revoked, code);
const after = await first.run(x);
await using second = await openModel(readFileSync(path));
const later = await second.run(x);
const attempts = {
  ffi: await tryIt(() => Deno.dlopen("/lib/x86_64-linux-gnu/libc.so.6", {})),
  run: await tryIt(() => new Deno.Command("/bin/true").outputSync()),
  net: await tryIt(() => Deno.listen({ port: 0 }).close()),
  sys: await tryIt(() => Deno.hostname()),
  read: await tryIt(() => readFileSync(path)),
};
await plugin.close();
const outcome: HardenOutcome = {
  hardened,
  outputs: [before, after, later].map((outputs) => [...(outputs["b"]?.data as Float32Array)]),
  attempts,
  engines: openSessions().map((session) => session.engine).sort(),
  pluginEnded: plugin.ended !== null,
};
console.log(JSON.stringify(outcome));
