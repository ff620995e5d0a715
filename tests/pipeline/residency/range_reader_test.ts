import assert from "node:assert/strict";
import { RangeReader } from "../../../pipeline/residency/range_reader.ts";
import { expectCode } from "../../sessions/expect_code.ts";

Deno.test("RangeReader reads stretches into places of memory that is there", async () => {
  const path = Deno.makeTempFileSync();
  Deno.writeFileSync(path, Uint8Array.from({ length: 1000 }, (_, index) => index % 251));
  const reader = new RangeReader();
  const memory = new Uint8Array(32);
  const at = (byteOffset: number, from: number, to: number) => ({
    range: { path, byteOffset, byteLength: to - from },
    into: memory.subarray(from, to),
  });
  await reader.read([at(3, 4, 8), at(500, 16, 20), at(0, 30, 30)]);
  assert.deepEqual([...memory.subarray(2, 10)], [0, 0, 3, 4, 5, 6, 0, 0]);
  assert.deepEqual([...memory.subarray(15, 21)], [0, 249, 250, 0, 1, 0]);
  await expectCode("FILE_READ", () => reader.read([at(998, 0, 4), at(0, 8, 12)]));
  assert.deepEqual([...memory.subarray(8, 12)], [0, 1, 2, 3], "the others were read to their end");
  await reader.close();
  Deno.removeSync(path);
});

Deno.test("RangeReader names a file that is gone, and finds one that comes later", async () => {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/weights`;
  const reader = new RangeReader();
  const read = () =>
    reader.read([{ range: { path, byteOffset: 0, byteLength: 2 }, into: new Uint8Array(2) }]);
  const error = await expectCode("FILE_READ", read);
  assert.match(error.message, /weights/);
  Deno.writeFileSync(path, new Uint8Array(2));
  await read();
  await reader.close();
  Deno.removeSync(folder, { recursive: true });
});
