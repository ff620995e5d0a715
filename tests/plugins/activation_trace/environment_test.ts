// The environment alone traces a script that knows nothing of it, and never asks for a permission.

import assert from "node:assert/strict";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fixturePath } from "../../support/fixture_path.ts";
import { skippable } from "../../skippable.ts";
import { ROOT } from "../../suites.ts";
import { inFolder, linesOf, recordsOf } from "./_traced.ts";

const MOD = new URL("../../../mod.ts", import.meta.url).href;
const MODEL = fixturePath("torch/bert/model.onnx");

/** A pipeline script as people write it: no word of tracing. */
const SCRIPT = `
import { HookRegistry, openModel, tensor } from ${JSON.stringify(MOD)};
await using model = await openModel(${JSON.stringify(MODEL)}, { provider: "cpu" });
const ids = tensor("int64", [1, 2], BigInt64Array.of(0n, 1n));
await model.run({ input_ids: ids, attention_mask: ids, token_type_ids: ids });
console.log(model.plan().kind, HookRegistry.all(model).length);
`;

const GRANTS = ["--allow-read", "--allow-write", "--allow-ffi"];
const NO_SCRIPT = existsSync("/usr/bin/script") ? undefined : "there is no script(1) here";

/** Runs the script; on a terminal, where Deno would ask, or without one. */
async function run(
  folder: string,
  variables: Readonly<Record<string, string>>,
  options: { readonly grants?: readonly string[]; readonly terminal?: boolean } = {},
): Promise<{ code: number; output: string; errors: string }> {
  const script = join(folder, "pipeline.ts");
  writeFileSync(script, SCRIPT);
  const grants = options.grants ?? [...GRANTS, "--allow-env=HOOKLINE_*,ORT_DISABLE_TELEMETRY"];
  const config = join(ROOT, "deno.json");
  const args = ["run", "--no-check", "--config", config, ...grants, script];
  const [command, all] = options.terminal === true
    ? ["/usr/bin/script", ["-qec", [Deno.execPath(), ...args].join(" "), "/dev/null"]] as const
    : [Deno.execPath(), args] as const;
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args: [...all],
    env: {
      NO_COLOR: "1",
      DENO_NO_UPDATE_CHECK: "1",
      ORT_DISABLE_TELEMETRY: "1",
      TMPDIR: folder,
      ...variables,
    },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout).trim(), errors: decoder.decode(stderr) };
}

const jsonlIn = (folder: string) => readdirSync(folder).filter((name) => name.endsWith(".jsonl"));

Deno.test(
  "openModel() traces what HOOKLINE_TRACE_ variables say, and the script is as it was",
  inFolder(async (folder) => {
    const traced = await run(folder, {
      HOOKLINE_TRACE_ACTIVATIONS: "1",
      HOOKLINE_TRACE_LAYERS: "layer\\.\\d+$",
      HOOKLINE_TRACE_STATS: "max,std",
      HOOKLINE_TRACE_OUTPUT: join(folder, "deep", "trace_<pid>.jsonl"),
    });
    assert.equal(traced.output, "tapped 4", traced.errors);
    const [name] = jsonlIn(join(folder, "deep"));
    assert.match(name ?? "", /^trace_\d+\.jsonl$/);
    const path = join(folder, "deep", name ?? "");
    assert.deepEqual(linesOf(path)[0]?.["stats"], ["max", "std"]);
    assert.deepEqual(recordsOf(path).map(({ module }) => module), [
      "encoder.layer.0",
      "encoder.layer.1",
      "encoder.layer.2",
    ]);
    assert.deepEqual(Object.keys(recordsOf(path)[0] ?? {}).slice(0, 5), [
      "module",
      "tensor",
      "step",
      "max",
      "std",
    ]);
  }),
);

Deno.test(
  "openModel() with the switch alone traces every module into the temporary folder",
  inFolder(async (folder) => {
    const grants = [...GRANTS, "--allow-env"];
    const traced = await run(folder, { HOOKLINE_TRACE_ACTIVATIONS: "true" }, { grants });
    assert.equal(traced.output, "tapped 55", traced.errors);
    const [name] = jsonlIn(folder);
    assert.match(name ?? "", /^hookline_trace_\d+\.jsonl$/);
    assert.equal(recordsOf(join(folder, name ?? "")).length, 54);
  }),
);

Deno.test(
  "openModel() with the switch off registers and plans nothing, whatever the other variables say",
  inFolder(async (folder) => {
    for (const value of ["0", "false", "off", "no", ""]) {
      const plain = await run(folder, {
        HOOKLINE_TRACE_ACTIVATIONS: value,
        HOOKLINE_TRACE_STATS: "no such statistic",
      });
      assert.equal(plain.output, "whole 0", plain.errors);
    }
    assert.deepEqual(jsonlIn(folder), []);
  }),
);

Deno.test(
  "openModel() refuses variables that it cannot follow, before anything runs or is written",
  inFolder(async (folder) => {
    const output = { HOOKLINE_TRACE_OUTPUT: join(folder, "trace.jsonl") };
    const cases: readonly [Record<string, string>, RegExp][] = [
      [{ HOOKLINE_TRACE_ACTIVATIONS: "maybe" }, /HOOKLINE_TRACE_ACTIVATIONS is on.*"maybe"/],
      [{ HOOKLINE_TRACE_STATS: "abs_mean,mad" }, /"mad" \(from HOOKLINE_TRACE_STATS\)/],
      [{ HOOKLINE_TRACE_STEPS: "," }, /HOOKLINE_TRACE_STEPS/],
      [{ HOOKLINE_TRACE_LAYERS: "encodr" }, /"\/encodr\/" matches none/],
      [{ HOOKLINE_TRACE_LAYERS: "(" }, /\(/],
    ];
    for (const [variables, message] of cases) {
      const failed = await run(folder, {
        HOOKLINE_TRACE_ACTIVATIONS: "1",
        ...output,
        ...variables,
      });
      assert.equal(failed.code, 1);
      assert.match(failed.errors, message);
      assert.equal(failed.output, "");
    }
    assert.deepEqual(jsonlIn(folder), []);
  }),
);

Deno.test({
  ...skippable("openModel() never prompts on a terminal for variables it may not read", NO_SCRIPT),
  fn: inFolder(async (folder) => {
    const seen = await run(folder, { HOOKLINE_TRACE_ACTIVATIONS: "1" }, {
      grants: GRANTS,
      terminal: true,
    });
    assert.equal(seen.output, "whole 0");
    assert.deepEqual(jsonlIn(folder), []);
  }),
});

Deno.test({
  ...skippable("openModel() fails on a terminal where the trace may not be written", NO_SCRIPT),
  fn: inFolder(async (folder) => {
    const grants = ["--allow-read", "--allow-ffi", "--allow-env"];
    const seen = await run(folder, { HOOKLINE_TRACE_ACTIVATIONS: "1" }, { grants, terminal: true });
    assert.match(seen.output, /no permission to write it/);
    assert.doesNotMatch(seen.output, /Allow\?/);
    assert.deepEqual(jsonlIn(folder), []);
  }),
});
