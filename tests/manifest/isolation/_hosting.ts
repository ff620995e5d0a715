// What the tests of both hosts share: specs of the steady plugin, one call's facts, and the behaviour that
// a plugin must have wherever it runs.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import type { AuditEntry } from "../../../manifest/audit.ts";
import type { EffectiveRights } from "../../../manifest/effective_rights.ts";
import type { HostedModule, HostSpec } from "../../../manifest/isolation/host_spec.ts";
import type { PluginCall } from "../../../manifest/plugin_module.ts";
import { float32, type Tensor, tensor, type TensorMap } from "../../../tensor/tensor.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { rightsWith } from "../_guards.ts";

/** The rights of an observer that may read values and nothing else. */
export const OBSERVER: EffectiveRights = Object.freeze(rightsWith({ plugin: "steady" }));

/** What changes of a spec; `audited` and `logged` are filled while the plugin runs. */
export interface SpecChanges extends Partial<Omit<HostSpec, "rights">> {
  readonly rights?: Partial<EffectiveRights>;
  readonly audited?: AuditEntry[];
  readonly logged?: string[];
}

/** A spec of the plugin in a folder of tests/fixtures. */
export function specOf(
  mode: string,
  { rights, audited = [], logged = [], ...changes }: SpecChanges = {},
  folder = "steady_plugin",
): HostSpec {
  const root = realpathSync(fixturePath(folder));
  return {
    root,
    mainUrl: pathToFileURL(join(root, "mod.ts")).href,
    rights: { ...OBSERVER, ...rights },
    options: { mode },
    budgets: {},
    audit: (entry) => void audited.push(entry),
    log: (line) => void logged.push(line),
    ...changes,
  };
}

/** The facts of a module and of a call of it. */
export const MODULE = { path: "encoder.layer.0", className: "Layer", callCount: 1 } as const;
/** A call with one input `x` and one output `y`. */
export const CALL: PluginCall = {
  module: MODULE,
  callIndex: 0,
  inputNames: ["x"],
  outputNames: ["y"],
  runId: 7,
  step: 3,
  context: "cond",
};

/** A map of one float32 tensor. */
export const map = (name: string, ...values: number[]): TensorMap => ({
  [name]: float32([values.length], values),
});

const WRITES = { writeActivations: true, replaceForward: true } as const;

/** Registers the tests that a host of any level must pass. */
export function hostConformance(
  level: string,
  host: (spec: HostSpec) => Promise<HostedModule>,
): void {
  Deno.test(`${level}: an observer sees the tensors, logs, and resets`, async () => {
    const logged: string[] = [];
    await using hosted = await host(specOf("observe", { logged }));
    const hook = await hosted.createHook(MODULE);
    assert.deepEqual(Object.keys(hook ?? {}), ["postForward", "resetState"]);
    assert.equal(await hook?.postForward?.(CALL, map("y", 1, 2, 3.5), null), undefined);
    await hook?.postForward?.(CALL, map("y", 1), null);
    await hook?.resetState?.(MODULE);
    await hook?.postForward?.(CALL, map("y", 1), null);
    const told = "encoder.layer.0 run 7:";
    assert.deepEqual(logged, [`${told} 1 6.5`, `${told} 2 1`, `${told} 1 1`]);
  });

  Deno.test(`${level}: a transformer's tensors come back and the given ones stay`, async () => {
    await using hosted = await host(specOf("double", { rights: WRITES }));
    const hook = await hosted.createHook(MODULE);
    const given = map("y", 1, -2);
    const result = await hook?.postForward?.(CALL, given, null) as TensorMap;
    assert.deepEqual(result["y"], float32([2], [2, -4]));
    assert.deepEqual(given, map("y", 1, -2));
  });

  Deno.test(`${level}: every dtype arrives bit for bit`, async () => {
    await using hosted = await host(specOf("same", { rights: WRITES }));
    const hook = await hosted.createHook(MODULE);
    const given: Record<string, Tensor> = {
      a: float32([2], [NaN, -0]),
      b: tensor("int64", [2], BigInt64Array.of(-(2n ** 63n), 1n)),
      c: tensor("float16", [1], new Float16Array([0.1])),
      d: tensor("bool", [2, 1], Uint8Array.of(0, 1)),
      e: tensor("string", [2], ["\u0000", "ü"]),
      f: tensor("float64", [0], new Float64Array()),
      ["__proto__"]: float32([], [1]),
    };
    const outputNames = Object.keys(given);
    const result = await hook?.postForward?.({ ...CALL, outputNames }, given, null) as TensorMap;
    assert.deepEqual(Object.keys(result), outputNames);
    for (const name of outputNames) assert.deepEqual(result[name], given[name]);
  });

  Deno.test(`${level}: a replacer calls the original and may return what it kept`, async () => {
    await using hosted = await host(specOf("replace", { rights: WRITES }));
    const hook = await hosted.createHook(MODULE);
    const seen: (TensorMap | undefined)[] = [];
    const original = (inputs?: TensorMap): Promise<TensorMap> => {
      seen.push(inputs);
      return Promise.resolve(map("y", 10));
    };
    for (let run = 0; run < 2; run++) {
      const outputs = await hook?.newForward?.(CALL, map("x", 1), original);
      assert.deepEqual(outputs?.["y"], float32([1], [20]));
    }
    assert.equal(seen.length, 1);
    assert.deepEqual(seen[0]?.["x"], float32([1], [2]));
  });

  Deno.test(`${level}: what the original throws reaches the plugin, and passes through it`, async () => {
    await using hosted = await host(specOf("replace", { rights: WRITES }));
    const hook = await hosted.createHook(MODULE);
    const failing = (): Promise<TensorMap> => Promise.reject(new RangeError("no luck"));
    await assert.rejects(
      async () => await hook?.newForward?.(CALL, map("x", 1), failing),
      { name: "RangeError", message: "no luck" },
    );
  });

  Deno.test(`${level}: what a hook throws keeps name and message; onUnwind gets the error`, async () => {
    const logged: string[] = [];
    await using hosted = await host(specOf("throw", { logged }));
    const hook = await hosted.createHook(MODULE);
    await assert.rejects(
      async () => await hook?.postForward?.(CALL, map("y", 1), null),
      { name: "RangeError", message: "the plugin's own fault" },
    );
    await hook?.onUnwind?.(CALL, new Error("elsewhere"));
    assert.deepEqual(logged, ["unwound: elsewhere"]);
    assert.equal(hosted.ended, null);
  });

  Deno.test(`${level}: null leaves a module alone, and a list is no hook`, async () => {
    await using hosted = await host(specOf("none"));
    assert.equal(await hosted.createHook(MODULE), null);
    await using other = await host(specOf("list"));
    await expectCode("PLUGIN_MODULE", () => other.createHook(MODULE));
  });

  Deno.test(`${level}: what close() throws is PLUGIN_MODULE, and its realm has ended`, async () => {
    const hosted = await host(specOf("close"));
    await hosted.createHook(MODULE);
    const error = await expectCode("PLUGIN_MODULE", () => hosted.close());
    assert.match(error.message, /threw in close\(\): Error: cannot close/);
    assert.notEqual(hosted.ended, null);
  });

  Deno.test(`${level}: original() of another call is refused at once, not at the end of its time`, async () => {
    const audited: AuditEntry[] = [];
    await using hosted = await host(specOf("late original", { rights: WRITES, audited }));
    const hook = await hosted.createHook(MODULE);
    const original = (): Promise<TensorMap> => Promise.resolve(map("y", 1));
    await hook?.newForward?.(CALL, map("x", 1), original);
    await assert.rejects(
      async () => await hook?.newForward?.(CALL, map("x", 1), original),
      /outside of newForward/,
    );
    assert.equal(audited.at(-1)?.permission, "message");
    assert.equal(hosted.ended, null);
  });

  Deno.test(`${level}: a replacer that does not await original() is told so at once`, async () => {
    await using hosted = await host(specOf("unawaited original", { rights: WRITES }));
    const hook = await hosted.createHook(MODULE);
    const { promise, resolve } = Promise.withResolvers<TensorMap>();
    await assert.rejects(
      async () => await hook?.newForward?.(CALL, map("x", 1), () => promise),
      /returned while original\(\) was running/,
    );
    resolve(map("y", 1));
  });

  Deno.test(`${level}: sinks write below the granted folder, within the budget`, async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), "hookline-sink-")));
    try {
      const budgets = { outputBytes: 20 };
      const spec = specOf("sink", { rights: { fsWrite: [folder] }, budgets });
      await using hosted = await host(spec);
      const hook = await hosted.createHook(MODULE);
      await hook?.postForward?.(CALL, map("y", 1), null);
      await hook?.postForward?.(CALL, map("y", 1), null);
      await expectCode("HOOK_BUDGET", async () => {
        for (let call = 0; call < 3; call++) await hook?.postForward?.(CALL, map("y", 1), null);
      });
      const text = readFileSync(join(folder, "deep", "lines.txt"), "utf8");
      assert.equal(text.slice(0, 18), "call 0\nB\ncall 1\nB\n");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  Deno.test(`${level}: the environment holds what was granted, directly too`, async () => {
    process.env["HOOKLINE_TEST_GRANTED"] = "yes";
    process.env["HOOKLINE_TEST_OTHER"] = "no";
    const logged: string[] = [];
    const rights = { env: ["HOOKLINE_TEST_GRANTED"] };
    await using hosted = await host(specOf("env", { rights, logged }));
    await hosted.createHook(MODULE);
    assert.deepEqual(JSON.parse(logged[0] ?? ""), {
      HOOKLINE_TEST_GRANTED: "yes",
      direct: "yes",
    });
  });

  Deno.test(`${level}: what a plugin prints is its log, without control characters`, async () => {
    const logged: string[] = [];
    await using hosted = await host(specOf("print", { logged }));
    await hosted.createHook(MODULE);
    assert.deepEqual(logged, ["printed { deep: [ 1 ] }", "?[31mred"]);
  });

  Deno.test(`${level}: createHook that throws is PLUGIN_MODULE, and so is a module that does not load`, async () => {
    await using hosted = await host(specOf("no such mode"));
    const error = await expectCode("PLUGIN_MODULE", () => hosted.createHook(MODULE));
    assert.match(error.message, /no mode no such mode/);
    for (const folder of ["static_json", "static_ts"]) {
      const audited: AuditEntry[] = [];
      const spec = specOf("observe", { audited }, join("evil_plugin", folder));
      await expectCode("PLUGIN_MODULE", () => host(spec));
      assert.deepEqual(audited.map(({ permission, decision }) => [permission, decision]), [
        ["read", "deny"],
      ]);
      assert.match(audited[0]?.value ?? "", /evil_plugin.secret\.(json|ts)$/);
    }
  });

  Deno.test(`${level}: an aborted call stops waiting, and the plugin stays usable`, async () => {
    await using hosted = await host(specOf("slow"));
    const hook = await hosted.createHook(MODULE);
    const abort = new AbortController();
    const waiting = hook?.postForward?.({ ...CALL, signal: abort.signal }, map("y", 1), null);
    abort.abort(new Error("enough"));
    await assert.rejects(async () => await waiting, { message: "enough" });
    await hook?.postForward?.(CALL, map("y", 0), null);
    assert.equal(hosted.ended, null);
  });

  Deno.test(`${level}: a call over its budget ends the plugin, for every later call`, async () => {
    const audited: AuditEntry[] = [];
    const spec = specOf("never", { budgets: { msPerCall: 30 }, audited });
    await using hosted = await host(spec);
    const hook = await hosted.createHook(MODULE);
    const call = async () => await hook?.postForward?.(CALL, map("y", 1), null);
    await expectCode("HOOK_BUDGET", call);
    await expectCode("HOOK_BUDGET", call);
    assert.equal(hosted.ended?.name, "HooklineError");
    assert.deepEqual(audited.map(({ permission, value }) => [permission, value]), [
      ["budget", "msPerCall 30"],
    ]);
  });

  Deno.test(`${level}: waiting for original() and for other calls is not the plugin's time`, async () => {
    const spec = specOf("replace", { rights: WRITES, budgets: { msPerCall: 1500 } });
    await using hosted = await host(spec);
    const hook = await hosted.createHook(MODULE);
    const inner = await hosted.createHook({ ...MODULE, path: "encoder.layer.1" });
    const slow = async (): Promise<TensorMap> => {
      await new Promise((resolve) => setTimeout(resolve, 2000));
      // The same plugin around an inner module: it must not wait for the outer call.
      await inner?.newForward?.(CALL, map("x", 1), () => Promise.resolve(map("y", 2)));
      return map("y", 1);
    };
    const outputs = await hook?.newForward?.(CALL, map("x", 1), slow);
    assert.deepEqual(outputs?.["y"], float32([1], [2]));
  });

  Deno.test(`${level}: close() ends the realm, once; later calls say so`, async () => {
    const hosted = await host(specOf("observe"));
    const hook = await hosted.createHook(MODULE);
    await hosted.close();
    await hosted.close();
    await expectCode("PLUGIN_ISOLATION", () => hosted.createHook(MODULE));
    await expectCode(
      "PLUGIN_ISOLATION",
      async () => await hook?.postForward?.(CALL, map("y", 1), null),
    );
  });
}
