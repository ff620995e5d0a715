import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recordModule } from "../../../parity/replay/record_module.ts";
import { openRecording } from "../../../parity/replay/recording.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { runModel } from "../../support/run_model.ts";
import { chainFeeds, chainModel } from "../../pipeline/_small_models.ts";
import { floats, modelBytes, node, valueInfo } from "../../support/build_model.ts";

const OPTIONS = { engine: "napi", provider: "cpu" } as const;

async function inFolder(check: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-record-"));
  try {
    await check(join(folder, "recording.safetensors"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

Deno.test("recordModule() keeps what the module was given and gave, and how it was run", () =>
  inFolder(async (path) => {
    const facts = await recordModule(chainModel(), path, {
      ...OPTIONS,
      module: "layers.1",
      feeds: ({ length }) => length === 1 ? chainFeeds(2) : {},
    });
    assert.equal(facts.optimization, "disabled");
    assert.equal(facts.provider, "cpu");
    assert.match(facts.structureHash, /^[0-9a-f]{64}$/);
    await using recording = await openRecording(path);
    assert.deepEqual({ ...recording.facts, format: undefined }, { ...facts, format: undefined });
    const [call] = recording.facts.calls;
    assert.ok(call !== undefined);
    const [inputs, outputs] = [await recording.inputs(call), await recording.outputs(call)];
    // layers.0 makes 2·2+1 of 2, layers.1 makes 5·3+2 of it.
    assert.deepEqual(Object.keys(inputs), ["h0"]);
    assert.deepEqual([...inputs["h0"]?.data as Float32Array], [5, 5]);
    assert.deepEqual([...outputs["h1"]?.data as Float32Array], [17, 17]);
    assert.equal(openSessions().length, 0);
  }));

Deno.test("recordModule() keeps every call of a module that is called twice", () =>
  inFolder(async (path) => {
    const model = modelBytes({
      nodes: [
        node("MatMul", ["x", "shared.weight"], ["a"], { name: "/shared/MatMul" }),
        node("Relu", ["a"], ["b"], { name: "/act/Relu" }),
        node("MatMul", ["b", "shared.weight"], ["y"], { name: "/shared_1/MatMul" }),
      ],
      inputs: [valueInfo("x", "float32", [1, 4])],
      outputs: [valueInfo("y", "float32", [1, 4])],
      initializers: [floats("shared.weight", [4, 4])],
    });
    const x = { dtype: "float32", shape: [1, 4], data: Float32Array.of(1, 2, 3, 4) } as const;
    const { calls } = await recordModule(model, path, {
      ...OPTIONS,
      module: "shared",
      feeds: { x },
    });
    assert.equal(calls.length, 2);
    await using recording = await openRecording(path);
    const second = recording.facts.calls[1];
    assert.ok(second !== undefined);
    const { y } = await runModel(model, { x });
    assert.deepEqual((await recording.outputs(second))["y"]?.data, y?.data);
  }));

Deno.test("recordModule() refuses a module that is not there, and writes nothing", () =>
  inFolder(async (path) => {
    const error = await expectCode(
      "MODULE_UNKNOWN",
      () => recordModule(chainModel(), path, { module: "layer.1", feeds: chainFeeds(1) }),
    );
    assert.equal((error.details["nearest"] as readonly string[])[0], "layers.1");
    await expectCode(
      "CAPTURE_EMPTY",
      () => recordModule(chainModel(), path, { module: "layers", feeds: chainFeeds(1) }),
    );
    await expectCode(
      "FEED_MISSING",
      () => recordModule(chainModel(), path, { ...OPTIONS, module: "layers.1", feeds: {} }),
    );
    assert.ok(!existsSync(path));
    assert.equal(openSessions().length, 0);
  }));
