// An application that runs a real model with the evil plugin at one level, and without it, and says what
// came of it as one line of JSON. It is a process of its own, because the worst attempts end their process.
// deno run -A --cached-only --unstable-worker-options _evil_app.ts LEVEL MODE [MS_PER_CALL]

import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { AuditEntry } from "../../../manifest/audit.ts";
import type { Grants } from "../../../manifest/grants.ts";
import type { IsolationLevel } from "../../../manifest/plugin_manifest.ts";
import { loadPlugin } from "../../../pipeline/load_plugin.ts";
import { openModel } from "../../../pipeline/open_model.ts";
import { HooklineError } from "../../../errors/hookline_error.ts";
import { tensorBytes, type TensorMap } from "../../../tensor/tensor.ts";
import { fixtureInputs } from "../../pipeline/_fixtures.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { evilFolder } from "./_plugin_copies.ts";

/** What one attempt came to. */
export interface AttemptOutcome {
  readonly attempt: string;
  readonly denied?: string;
  readonly got?: string;
  /** Entries of the audit log that the attempt led to, `permission value`. */
  readonly audited: readonly string[];
}

/** What the application saw. */
export interface EvilReport {
  /** Attempts at loading, in their order. */
  readonly attempts: readonly AttemptOutcome[];
  /** Every denied entry. */
  readonly denied: readonly AuditEntry[];
  /** Code, or message, of what each run threw; null where it went through. */
  readonly runs: readonly (string | null)[];
  /** Whether every run that went through gave the bits of the model alone. */
  readonly bitEqual: boolean;
  /** What the plugin left behind in the folder that it tried to write to. */
  readonly left: readonly string[];
  /** How many requests reached the application's own server. */
  readonly requests: number;
  /** Whether the model still gives its own bits after the plugin has gone. */
  readonly survived: boolean;
}

const [level, mode, msPerCall] = Deno.args as [IsolationLevel, string, string?];
process.env["HOOKLINE_TEST_SECRET"] = "an environment variable";
const outside = mkdtempSync(join(tmpdir(), "hookline-evil-"));
const secret = join(outside, "secret.json");
writeFileSync(secret, '{"secret":true}');
writeFileSync(join(outside, "secret.ts"), 'export const secret = "code";');
let requests = 0;
const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
  requests++;
  return new Response("reached");
});
const { port } = server.addr;

const sameBits = (left: TensorMap, right: TensorMap): boolean =>
  Object.keys(left).every((name) => {
    const [one, two] = [left[name], right[name]];
    if (one === undefined || two === undefined) return false;
    const [a, b] = [tensorBytes(one), tensorBytes(two)];
    return a.length === b.length && a.every((byte, at) => byte === b[at]);
  });

// Taken before the plugin comes: in this process it replaces them.
const { stringify } = JSON;
const logLine = console.log;

const attempts: AttemptOutcome[] = [];
const denied: AuditEntry[] = [];
let before = 0;
const runs: (string | null)[] = [];
let bitEqual = true;
using folder = evilFolder(msPerCall === undefined ? {} : { msPerCall: Number(msPerCall) });
const grants: Grants = folder.grants;
const inputs = fixtureInputs("torch", "bert");

await using model = await openModel(fixturePath("torch", "bert", "model.onnx"));
const expected = await model.run(inputs);
const plugin = await loadPlugin(folder.path, {
  level,
  grants,
  allowUnsigned: true,
  unstableWorkerOptions: true,
  options: {
    mode: mode ?? "attempts",
    targets: {
      file: secret,
      folder: outside,
      module: join(outside, "secret.ts"),
      library: "/lib/x86_64-linux-gnu/libc.so.6",
      host: `127.0.0.1:${port}`,
    },
  },
  audit: (entry) => {
    if (entry.decision === "deny") denied[denied.length] = entry;
  },
  log(line) {
    if (!line.startsWith('{"attempt"')) return;
    const audited = denied.slice(before).map(({ permission, value }) => `${permission} ${value}`);
    before = denied.length;
    attempts[attempts.length] = { ...JSON.parse(line), audited };
  },
});
await plugin.prepare?.(model, { modelName: "bert" });
const attached = plugin.attach(model, { modelName: "bert" }) as AsyncDisposable;
for (let run = 0; run < 2; run++) {
  try {
    const outputs = await model.run(inputs);
    bitEqual &&= sameBits(expected, outputs);
    runs[run] = null;
  } catch (error) {
    const first = error instanceof AggregateError ? error.cause : error;
    const cause = first instanceof HooklineError ? first.cause : undefined;
    runs[run] = cause instanceof HooklineError
      ? `${cause.code}: ${cause.message}`
      : String((first as HooklineError).code ?? first);
  }
}
await attached[Symbol.asyncDispose]();
const survived = sameBits(expected, await model.run(inputs));
const left = [
  ...readdirSync(outside),
  ...(existsSync(join(folder.path, "evil.txt")) ? ["own"] : []),
]
  .filter((name) => !name.startsWith("secret."));
await server.shutdown();
rmSync(outside, { recursive: true });
const report: EvilReport = {
  attempts,
  denied,
  runs,
  bitEqual,
  left,
  requests,
  survived,
};
logLine(stringify(report));
// A worker that loops outlives its terminate() and would keep this process from ending.
Deno.exit(0);
