// Recording and replaying real modules: bit for bit, and refused where it would not be honest.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recordModule } from "../../../parity/replay/record_module.ts";
import { replayModule } from "../../../parity/replay/replay_module.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { floats, modelBytes, type ModelParts, node, valueInfo } from "../../support/build_model.ts";
import { rampTensor } from "../../support/run_model.ts";
import { subjectModel } from "../../support/subject_models.ts";

const OPTIONS = { engine: "napi", provider: "cpu" } as const;

async function inFolder(check: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-replay-"));
  try {
    await check(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const name of ["bert", "gpt2_past", "unet", "vit", "transformer"]) {
  Deno.test(`replayModule() gives every module of ${name} bit for bit, cuttable or not`, () =>
    inFolder(async (folder) => {
      const { bytes, feeds, structure } = await subjectModel(name);
      const path = join(folder, "module.safetensors");
      const modules = structure.tree.modules.filter(({ calls }) => calls.length > 0);
      for (const module of modules) {
        await recordModule(bytes, path, { ...OPTIONS, module: module.path, feeds });
        const replay = await replayModule(bytes, path, { engine: "napi" });
        assert.equal(replay.status, "exact", module.path);
        assert.equal(replay.optimization, "disabled");
        assert.equal(replay.calls.length, module.calls.length, module.path);
      }
      assert.equal(openSessions().length, 0);
    }));
}

/** Two layers; `layers.0` is called by its nodes' names. */
function layers(scale: number, last = "Relu"): ModelParts {
  return {
    nodes: [
      node("MatMul", ["x", "w0"], ["a"], { name: "/layers.0/MatMul" }),
      node("Add", ["a", "b0"], ["b"], { name: "/layers.0/Add" }),
      node(last, ["b"], ["y"], { name: "/layers.1/Act" }),
    ],
    inputs: [valueInfo("x", "float32", ["n", 8])],
    outputs: [valueInfo("y", "float32", ["n", 8])],
    initializers: [
      floats("w0", [8, 8], (index) => scale * index / 64),
      floats("b0", [8]),
    ],
  };
}

const FEEDS = { x: rampTensor([3, 8]) };
const MODULE = { module: "layers.0", feeds: FEEDS, ...OPTIONS };

Deno.test("replayModule() refuses another model and other weights, unless it is told to", () =>
  inFolder(async (folder) => {
    const path = join(folder, "layer.safetensors");
    const files = [layers(1), layers(2), layers(1, "Sigmoid")].map((parts, index) => {
      const file = join(folder, `${index}.onnx`);
      writeFileSync(file, modelBytes(parts));
      return file;
    });
    const [own, weights, other] = files as [string, string, string];
    await recordModule(own, path, MODULE);
    const error = await expectCode("RECORDING_MISMATCH", () => replayModule(other, path));
    assert.match(error.message, /structure/);
    await expectCode("RECORDING_MISMATCH", () => replayModule(weights, path));
    const altered = await replayModule(weights, path, { otherModel: true, engine: "napi" });
    assert.equal(altered.status, "differs");
    assert.ok((altered.calls[0]?.outputs[0]?.error.ratio ?? 0) > 1);
    const equal = await replayModule(other, path, { otherModel: true, engine: "napi" });
    assert.equal(equal.status, "exact", "the layer itself is the same in both");
    await expectCode(
      "MODULE_UNKNOWN",
      () => replayModule(own, path, { otherModel: true, module: "layers.7" }),
    );
    await expectCode(
      "OPTION_INVALID",
      () => replayModule(own, path, { othermodel: true } as never),
    );
  }));

Deno.test("replayModule() refuses a module of another form", () =>
  inFolder(async (folder) => {
    const path = join(folder, "layer.safetensors");
    await recordModule(modelBytes(layers(1)), path, MODULE);
    const other = modelBytes({
      ...layers(1),
      nodes: [
        node("Add", ["x", "z"], ["a"], { name: "/layers.0/Add" }),
        node("Relu", ["a"], ["y"], { name: "/layers.1/Act" }),
      ],
      inputs: [valueInfo("x", "float32", ["n", 8]), valueInfo("z", "float32", ["n", 8])],
    });
    const error = await expectCode(
      "RECORDING_MISMATCH",
      () => replayModule(other, path, { otherModel: true }),
    );
    assert.match(error.message, /takes 2 values, 1 were recorded/);
  }));
