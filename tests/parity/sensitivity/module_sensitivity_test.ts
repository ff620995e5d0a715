// Rankings on real sessions: models where it is known which module matters, and a real network against
// its own quantised copy.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeSileroCopies } from "../../../demo/silero_copies.ts";
import { moduleSensitivity } from "../../../parity/sensitivity/module_sensitivity.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { floats, modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { rampTensor } from "../../support/run_model.ts";

const OPTIONS = { engine: "napi", provider: "cpu" } as const;
const FEEDS = { x: rampTensor([2, 8]) };

/** Two projections of x: what `coarse` adds counts a thousand times more than what `fine` adds. */
function model(scale = 1): Uint8Array<ArrayBuffer> {
  const weight = (name: string, size: number) =>
    floats(name, [8, 8], (index) => size * Math.sin(index + 1));
  return modelBytes({
    nodes: [
      node("MatMul", ["x", "wf"], ["f"], { name: "/fine/MatMul" }),
      node("MatMul", ["x", "wc"], ["c"], { name: "/coarse/MatMul" }),
      node("Relu", ["c"], ["r"], { name: "/act/Relu" }),
      node("Add", ["f", "r"], ["y"], { name: "/Add" }),
    ],
    inputs: [valueInfo("x", "float32", ["n", 8])],
    outputs: [valueInfo("y", "float32", ["n", 8])],
    initializers: [weight("wf", 1e-3), weight("wc", scale)],
  });
}

Deno.test("moduleSensitivity() ranks the module first whose rounding costs most", async () => {
  for (const substitute of ["float16", "bfloat16", "int8"] as const) {
    const { modules, skipped } = await moduleSensitivity(model(), {
      ...OPTIONS,
      feeds: FEEDS,
      substitute,
    });
    assert.equal(modules[0]?.module, "coarse", substitute);
    const errors = modules.map(({ outputs: [worst] }) => worst?.error.maxAbs ?? NaN);
    const fine = modules.findIndex((row) => row.module === "fine");
    assert.ok((errors[0] ?? 0) > 100 * (errors[fine] ?? 1), substitute);
    const because = skipped.map((row) => `${row.module}: ${row.because}`);
    const left = substitute === "int8" ? ["act: it has no weights of two or more dimensions"] : [];
    assert.deepEqual(because, left);
  }
  assert.deepEqual(openSessions(), []);
});

Deno.test("moduleSensitivity() takes another file's modules, whatever their names and types", async () => {
  const other = modelBytes({
    nodes: [
      node("Cast", ["X"], ["half"], { attributes: { to: 10 }, name: "/Cast" }),
      node("MatMul", ["half", "1"], ["F"], { name: "/fine/MatMul" }),
      node("MatMul", ["half", "2"], ["C"], { name: "/coarse/MatMul" }),
      node("Relu", ["C"], ["R"], { name: "/act/Relu" }),
      node("Add", ["F", "R"], ["S"], { name: "/Add" }),
      node("Cast", ["S"], ["Y"], { attributes: { to: 1 }, name: "/Cast_1" }),
    ],
    inputs: [valueInfo("X", "float32", ["n", 8])],
    outputs: [valueInfo("Y", "float32", ["n", 8])],
    initializers: ["1", "2"].map((name) => halfMatrix(name, name === "1" ? 1e-3 : 2)),
  });
  const { modules, skipped } = await moduleSensitivity(model(), {
    ...OPTIONS,
    feeds: FEEDS,
    substitute: "other",
    other,
  });
  assert.deepEqual(skipped, []);
  const [first, ...rest] = modules;
  assert.equal(first?.module, "coarse");
  assert.ok((first?.outputs[0]?.error.maxRel ?? 0) > 0.3, "its weights are twice as large");
  for (const { module, outputs } of rest) {
    assert.ok((outputs[0]?.error.maxRel ?? 1) < 1e-3, module);
  }
});

function halfMatrix(name: string, size: number) {
  const matrix = floats(name, [8, 8]);
  matrix.dataType = 10;
  const values = Float16Array.from({ length: 64 }, (_, index) => size * Math.sin(index + 1));
  matrix.rawData = new Uint8Array(values.buffer);
  return matrix;
}

Deno.test("moduleSensitivity() of rounded modules agrees with a really quantised copy", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hookline-sensitivity-"));
  try {
    const { original, int8, feeds } = await writeSileroCopies(folder);
    const of = async (options: { substitute: "int8" } | { substitute: "other"; other: string }) =>
      await moduleSensitivity(original, { ...OPTIONS, feeds, ...options });
    const [simulated, real] = [
      await of({ substitute: "int8" }),
      await of({ substitute: "other", other: int8 }),
    ];
    const names = ({ modules }: typeof real) => modules.slice(0, 4).map(({ module }) => module);
    assert.deepEqual(names(simulated), names(real));
    for (const [index, { outputs: [worst] }] of simulated.modules.slice(0, 4).entries()) {
      const other = real.modules[index]?.outputs[0];
      const ratio = (worst?.error.maxAbs ?? 0) / (other?.error.maxAbs ?? 1);
      assert.ok(ratio > 0.5 && ratio < 2, `${worst?.output}: ${ratio}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

Deno.test("moduleSensitivity() says which modules cannot be replaced, and why", async () => {
  // What leaves `split` comes back into it through /Neg.
  const bytes = modelBytes({
    nodes: [
      node("Relu", ["x"], ["a"], { name: "/split/Relu" }),
      node("Neg", ["a"], ["b"], { name: "/Neg" }),
      node("Add", ["a", "b"], ["y"], { name: "/split/Add" }),
    ],
    inputs: [valueInfo("x", "float32", [2, 8])],
    outputs: [valueInfo("y", "float32", [2, 8])],
  });
  const { modules, skipped } = await moduleSensitivity(bytes, { ...OPTIONS, feeds: FEEDS });
  assert.deepEqual(modules, []);
  assert.deepEqual(skipped.map(({ module }) => module), ["split"]);
  assert.ok((skipped[0]?.because ?? "").length > 0);
});

Deno.test("moduleSensitivity() refuses options that mean nothing", async () => {
  const run = (options: object) => () =>
    moduleSensitivity(model(), { ...OPTIONS, feeds: FEEDS, ...options });
  await expectCode("OPTION_INVALID", run({ substitute: "int4" }));
  await expectCode("OPTION_INVALID", run({ substitute: "other" }));
  await expectCode("OPTION_INVALID", run({ other: model() }));
  await expectCode("OPTION_INVALID", run({ map: ["a=b"] }));
  await expectCode("OPTION_INVALID", run({ module: "fine" }));
  await expectCode("OPTION_INVALID", run({ rtol: -1 }));
  await expectCode("OPTION_INVALID", run({ feeds: undefined }));
  await expectCode("HOOK_MATCH_EMPTY", run({ modules: "nothing.*" }));
});
