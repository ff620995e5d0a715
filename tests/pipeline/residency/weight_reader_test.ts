import assert from "node:assert/strict";
import { WeightReader } from "../../../pipeline/residency/weight_reader.ts";

function dataFile(
  byteLength: number,
): { readonly path: string; readonly [Symbol.dispose]: () => void } {
  const path = Deno.makeTempFileSync();
  Deno.writeFileSync(path, Uint8Array.from({ length: byteLength }, (_, index) => index % 251));
  return { path, [Symbol.dispose]: () => Deno.removeSync(path) };
}

Deno.test("WeightReader reads stretches into aligned places of one buffer", async () => {
  using file = dataFile(1000);
  const reader = new WeightReader();
  const places = await reader.fetch("a", [
    { path: file.path, byteOffset: 3, byteLength: 5 },
    { path: file.path, byteOffset: 500, byteLength: 100 },
  ]);
  assert.deepEqual(places.map((place) => place.byteOffset), [0, 64]);
  const [first, second] = places.map(({ buffer, byteOffset }) =>
    new Uint8Array(buffer, byteOffset, 5)
  );
  assert.deepEqual([...first ?? []], [3, 4, 5, 6, 7]);
  assert.equal(second?.[0], 500 % 251);
  await reader.close();
  assert.ok(places[0]?.buffer.detached !== undefined);
});

Deno.test("WeightReader lets buffers go round and gives all back when nobody holds any", async () => {
  using file = dataFile(1000);
  const reader = new WeightReader();
  const range = (byteOffset: number) => [{ path: file.path, byteOffset, byteLength: 64 }];
  const [a] = await reader.fetch("a", range(0));
  const [b] = await reader.fetch("b", range(64));
  reader.release("a");
  const [c] = await reader.fetch("c", range(128));
  assert.equal(c?.buffer, a?.buffer);
  assert.notEqual(b?.buffer, a?.buffer);
  assert.equal(new Uint8Array(b?.buffer as ArrayBuffer)[0], 64);
  assert.equal(reader.size, 2);
  reader.release("b");
  reader.release("c");
  reader.release("c");
  assert.equal(reader.size, 0);
  assert.ok(a?.buffer.detached && b?.buffer.detached);
  await reader.close();
});

Deno.test("WeightReader refuses a file that has become shorter, or is gone", async () => {
  using file = dataFile(100);
  const reader = new WeightReader();
  const long = [{ path: file.path, byteOffset: 90, byteLength: 20 }];
  await assert.rejects(reader.fetch("a", long), { code: "FILE_READ", message: /shorter/ });
  const missing = [{ path: `${file.path}.gone`, byteOffset: 0, byteLength: 1 }];
  await assert.rejects(reader.fetch("a", missing), { code: "FILE_READ" });
  assert.equal(reader.size, 0);
  await reader.fetch("a", [{ path: file.path, byteOffset: 0, byteLength: 100 }]);
  await reader.close();
});
