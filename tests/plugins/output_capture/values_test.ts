// Which values are captured, how much of them, and where they go.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  decodeNpz,
  decodeSafetensors,
  float32,
  type Model,
  openModel,
  openSafetensors,
  openSafetensorsWriter,
  recoverSafetensors,
  tensor,
} from "../../../mod.ts";
import {
  ClassPatches,
  outputCapture,
  partialCaptures,
} from "../../../plugins/output_capture/mod.ts";
import { sliceTensor } from "../../../plugins/output_capture/position_slice.ts";
import { hook, scaleOutputs } from "../../pipeline/_hooks.ts";
import { chainFeeds, chainModel } from "../../pipeline/_small_models.ts";
import { SpyEngine } from "../../pipeline/_spy_engine.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { fixture, valueOf } from "./_models.ts";

const openChain = (): Promise<Model> => openModel(chainModel(), { provider: "cpu" });

async function inFolder(test: (path: (name: string) => string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "hookline-capture-"));
  try {
    await test((name) => join(root, name));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

Deno.test("capture observes raw before and final after other hooks' edits", async () => {
  await using model = await openChain();
  model.registry("layers.1").register(scaleOutputs("ten", 10));
  const target = "layers.1";
  const capture = outputCapture(model, {
    keys: {
      raw: { target, observes: "raw" },
      final: { target },
      both: [{ target, observes: "raw" }, { target }],
    },
  });
  const { captures } = await capture.run(chainFeeds(1), { raw: true, final: true, both: true });
  assert.deepEqual(captures.raw.map(valueOf), [11]);
  assert.deepEqual(captures.final.map(valueOf), [110]);
  assert.deepEqual(captures.both.map(valueOf), [11, 110]);
});

Deno.test("capture takes inputs as well, before or after edits", async () => {
  await using model = await openChain();
  model.registry("layers.1").register(hook({
    name: "edit",
    access: "edit",
    preForward: (_call, inputs) =>
      Object.fromEntries(Object.keys(inputs).map((name) => [name, float32([1, 2], [7, 7])])),
  }));
  const target = "layers.1";
  const capture = outputCapture(model, {
    keys: { raw: { target, of: "input", observes: "raw" }, final: { target, of: "input" } },
  });
  const { captures, records } = await capture.run(chainFeeds(1), { raw: true, final: true });
  assert.deepEqual([captures.raw, captures.final].map((list) => list.map(valueOf)), [[3], [7]]);
  assert.deepEqual(records.map(({ name }) => name), ["raw/layers.1:in", "final/layers.1:in"]);
});

Deno.test("capture stops after the last captured module", async () => {
  const engine = new SpyEngine();
  await using model = await openModel(chainModel(), { provider: "cpu", engine });
  const capture = outputCapture(model, { keys: { hidden_states: "layers.*" } });
  model.registry("layers.2").register(hook({
    name: "never",
    access: "edit",
    takesPart: () => false,
    postForward: () => assert.fail("layer 2 ran"),
  }));
  const { captures, outputs } = await capture.run(chainFeeds(1), { hidden_states: [1] }, {
    stop: true,
  });
  assert.deepEqual(captures.hidden_states.map(valueOf), [null, 3, null, null]);
  assert.deepEqual(Object.keys(outputs), []);
  assert.match(await capture.explain({ hidden_states: [1] }, { stop: true }), /2 of 6 nodes run/);
  assert.deepEqual(engine.runs.map(({ fetches }) => fetches), [["h0"]]);
});

Deno.test("capture keeps the positions that a slice names", async () => {
  await using open = await fixture("torch/bert");
  const { model, feeds, truth } = open;
  const capture = outputCapture(model, {
    keys: {
      last: { target: "encoder.layer.*", slice: { axis: 1, at: -1 } },
      some: {
        target: "encoder.layer.2",
        slice: [{ axis: 1, start: 1, end: 3 }, { axis: -1, at: 0 }],
      },
      wrong: { target: "encoder.layer.2", slice: { axis: 5, at: 0 } },
    },
  });
  const { captures } = await capture.run(feeds, { last: true, some: true });
  assert.deepEqual(captures.last.map((one) => one?.shape), [[2, 32], [2, 32], [2, 32]]);
  assert.deepEqual(captures.some[0]?.shape, [2, 2]);
  const right = truth["encoder.layer.0"]?.data as Float32Array;
  const found = captures.last[0]?.data as Float32Array;
  for (let at = 0; at < 32; at++) {
    assert.ok(Math.abs((found[32 + at] ?? NaN) - (right[(7 + 6) * 32 + at] ?? NaN)) < 1e-5);
  }
  await expectCode("OPTION_INVALID", () => capture.run(feeds, { wrong: true }));
});

Deno.test("sliceTensor() copies what numpy's indexing gives", () => {
  const value = float32([2, 3, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  const cut = (...slices: Parameters<typeof sliceTensor>[1]) => {
    const { shape, data } = sliceTensor(value, slices);
    return [[...shape], [...data as Float32Array]];
  };
  assert.deepEqual(cut({ axis: 1, at: -1 }), [[2, 2], [4, 5, 10, 11]]);
  assert.deepEqual(cut({ axis: 0, start: 1 }), [[1, 3, 2], [6, 7, 8, 9, 10, 11]]);
  assert.deepEqual(cut({ axis: -1, end: -1 }), [[2, 3, 1], [0, 2, 4, 6, 8, 10]]);
  assert.deepEqual(cut({ axis: 1, start: 5 }), [[2, 0, 2], []]);
  assert.deepEqual(cut({ axis: 0, at: 0 }, { axis: 0, at: 1 }), [[2], [2, 3]]);
  const words = sliceTensor(tensor("string", [2, 2], ["a", "b", "c", "d"]), [{ axis: 1, at: 0 }]);
  assert.deepEqual(words.data, ["a", "c"]);
});

Deno.test("captured values have ndarray views that share their data", async () => {
  await using model = await openChain();
  const capture = outputCapture(model, { keys: { states: { target: "layers.*" } } });
  const { captures } = await capture.run(chainFeeds(1), { states: true });
  const view = captures.states[0]?.view;
  assert.equal(view?.get(0, 1), 3);
  assert.equal(view?.data, captures.states[0]?.data);
});

Deno.test("byteBudget refuses a value before the bytes held pass it, and keeps what fits", async () => {
  await using model = await openChain();
  const keys = { states: { target: "layers.*" } };
  const capture = outputCapture(model, { keys, byteBudget: 20 });
  const error = await expectCode(
    "CAPTURE_BUDGET",
    () => capture.run(chainFeeds(1), { states: true }),
  );
  assert.equal(error.details["module"], "layers.2");
  assert.deepEqual(partialCaptures(error)?.captures["states"]?.map(valueOf), [3, 11, null]);
  await capture.run(chainFeeds(1), { states: [0, 1] });
  const exact = outputCapture(model, { keys, byteBudget: 24 });
  assert.equal((await exact.run(chainFeeds(1), { states: true })).records.length, 3);
});

for (const ending of ["safetensors", "npz"] as const) {
  Deno.test(`capture streams to .${ending} without holding values`, () =>
    inFolder(async (at) => {
      await using model = await openChain();
      const keys = { states: { target: "layers.*" }, inner: { target: "layers.1.scale" } };
      const capture = outputCapture(model, { keys, byteBudget: 0 });
      const path = at(`captured.${ending}`);
      const { captures, records } = await capture.run(
        chainFeeds(1),
        { states: true, inner: true },
        { to: path },
      );
      assert.deepEqual(captures.states, [null, null, null]);
      const bytes = new Uint8Array(readFileSync(path));
      const saved = ending === "npz" ? decodeNpz(bytes, path) : decodeSafetensors(bytes, path);
      assert.deepEqual(Object.keys(saved).sort(), [
        "inner/layers.1.scale",
        "states/layers.0",
        "states/layers.1",
        "states/layers.2",
      ]);
      assert.equal(valueOf(saved["states/layers.1"]), 11);
      assert.deepEqual(records.map(({ name }) => name).sort(), Object.keys(saved).sort());
    }));
}

Deno.test("a failed run leaves a partial file that holds what was captured, and never the real name", () =>
  inFolder(async (at) => {
    await using model = await openChain();
    model.registry("layers.2").register(hook({
      name: "thrower",
      access: "edit",
      preForward: () => {
        throw new Error("no");
      },
    }));
    const capture = outputCapture(model, { keys: { states: { target: "layers.*" } } });
    const path = at("broken.safetensors");
    await expectCode(
      "HOOK_THROWN",
      () => capture.run(chainFeeds(1), { states: true }, { to: path }),
    );
    assert.equal(existsSync(path), false);
    const { names } = await recoverSafetensors(path);
    assert.deepEqual(names, ["states/layers.0", "states/layers.1"]);
    await using file = await openSafetensors(path);
    assert.equal(file.metadata["status"], "partial");
    assert.equal(file.metadata["model"], "bytes");
  }));

Deno.test("one open writer takes many runs, and a write that fails fails the run with its own code", () =>
  inFolder(async (at) => {
    await using model = await openChain();
    const capture = outputCapture(model, { keys: { states: { target: "layers.*" } } });
    await using writer = await openSafetensorsWriter(at("many.safetensors"));
    for (const run of [0, 1]) {
      const { captures } = await capture.run(chainFeeds(run), { states: true }, {
        to: writer,
        prefix: `run${run}/`,
        keep: true,
      });
      assert.equal(captures.states[0]?.dtype, "float32");
    }
    await expectCode(
      "FILE_WRITE",
      () => capture.run(chainFeeds(0), { states: true }, { to: writer, prefix: "run1/" }),
    );
    await writer.close();
    await using file = await openSafetensors(at("many.safetensors"));
    assert.equal(file.entries.length, 6);
    await expectCode(
      "OPTION_INVALID",
      () => capture.run(chainFeeds(0), { states: true }, { to: at("x.txt") }),
    );
  }));

Deno.test("T24 ClassPatches retargets recorders to the class that stands in, exactly or by expression", async () => {
  const patches = new ClassPatches();
  patches.register("OldLayer", "Layer");
  await expectCode("OPTION_INVALID", () => Promise.resolve(patches.register("OldLayer", "Other")));
  patches.register("OldLayer", "Layer", { overwrite: true });
  patches.register("^Older.*Layer$", "Layer");
  assert.equal(patches.replacementOf("OlderBertLayer"), "Layer");
  assert.equal(patches.replacementOf("BertLayer"), "BertLayer");
  await using open = await fixture("exports/dynamo_bert");
  const capture = outputCapture(open.model, { keys: { hidden_states: "OldLayer" }, patches });
  assert.equal(capture.positions("hidden_states").length, 4);
  assert.equal(patches.unregister("OldLayer"), true);
  patches.clear();
  assert.equal(patches.replacementOf("OldLayer"), "OldLayer");
  const without = outputCapture(open.model, { keys: { hidden_states: "OldLayer" }, patches });
  await expectCode("HOOK_MATCH_EMPTY", () => Promise.resolve(without.positions("hidden_states")));
});
