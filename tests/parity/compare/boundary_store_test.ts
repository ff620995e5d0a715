import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { BoundaryStore, tensorByteLength } from "../../../parity/compare/boundary_store.ts";
import type { Tensor } from "../../../tensor/tensor.ts";
import { rampTensor } from "../../support/run_model.ts";

function folders(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith("hookline-compare-"));
}

Deno.test("a store within its budget writes no file", async () => {
  const before = folders();
  await using store = new BoundaryStore(1000);
  const value = rampTensor([10]);
  await store.put("a", value);
  assert.equal(await store.get("a"), value);
  assert.deepEqual(store.describe("a")?.shape, [10]);
  assert.equal(await store.get("b"), undefined);
  assert.deepEqual(store.use, {
    budgetByteLength: 1000,
    peakByteLength: 40,
    spilledByteLength: 0,
  });
  assert.deepEqual(folders(), before);
});

Deno.test("what exceeds the budget comes back bit for bit, from a file that nobody finds later", async () => {
  const before = folders();
  const store = new BoundaryStore(100);
  const values: readonly Tensor[] = [
    rampTensor([2, 5]),
    rampTensor([30]),
    { dtype: "int64", shape: [2], data: BigInt64Array.of(-(2n ** 62n), 7n) },
    { dtype: "float16", shape: [3], data: Float16Array.of(1.5, NaN, -0) },
    { dtype: "bool", shape: [], data: Uint8Array.of(1) },
    { dtype: "float32", shape: [0, 4], data: new Float32Array(0) },
  ];
  for (const [index, value] of values.entries()) await store.put(`v${index}`, value);
  assert.ok(store.use.spilledByteLength >= 120);
  assert.ok(store.use.peakByteLength <= 50);
  // Where an open file can lose its name, nothing is left behind even by a process that is killed.
  assert.equal(folders().length, before.length + (Deno.build.os === "windows" ? 1 : 0));
  for (const [index, value] of values.entries()) {
    assert.deepEqual(await store.get(`v${index}`), value);
  }
  assert.deepEqual(store.describe("v1"), {
    ...store.describe("v1"),
    dtype: "float32",
    shape: [30],
  });
  await store.close();
  assert.deepEqual(folders(), before);
});

Deno.test("a value that is dropped or replaced gives its bytes back", async () => {
  await using store = new BoundaryStore(80);
  await store.put("a", rampTensor([10]));
  await store.put("a", rampTensor([10]));
  assert.equal(store.use.spilledByteLength, 0);
  store.drop("a");
  assert.equal(store.has("a"), false);
  await store.put("b", rampTensor([10]));
  assert.equal(store.use.spilledByteLength, 0);
});

Deno.test("strings stay in memory", async () => {
  await using store = new BoundaryStore(1);
  const value: Tensor = { dtype: "string", shape: [2], data: ["one", "two"] };
  await store.put("s", value);
  assert.equal(await store.get("s"), value);
  assert.equal(tensorByteLength(value), 12);
});

Deno.test("tensors in use count once, and only for as long as they are used", async () => {
  await using store = new BoundaryStore(1000);
  const kept = rampTensor([10]);
  await store.put("a", kept);
  await store.using([kept, rampTensor([20])], () => Promise.resolve());
  await store.using([rampTensor([1])], () => undefined);
  assert.equal(store.use.peakByteLength, 40 + 80);
});

Deno.test("a folder that cannot be written is an error that names it", async () => {
  const before = Deno.env.get("TMPDIR");
  Deno.env.set("TMPDIR", "/nowhere/at/all");
  try {
    const store = new BoundaryStore(0);
    await assert.rejects(store.put("a", rampTensor([1])), { code: "FILE_WRITE" });
    await store.close();
  } finally {
    if (before === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", before);
  }
});
