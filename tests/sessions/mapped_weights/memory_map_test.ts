import assert from "node:assert/strict";
import {
  areasIn,
  cleanMappings,
  mappingOf,
  shows,
} from "../../../sessions/mapped_weights/memory_map.ts";

const SMAPS = `7f0000000000-7f0000010000 rw-p 00002000 fe:00 77                       /m/a b.onnx
Size:                 64 kB
Anonymous:             0 kB
7f0000010000-7f0000020000 rw-p 00012000 fe:00 77                       /m/a b.onnx
Anonymous:             4 kB
7f0000020000-7f0000030000 r--s 00000000 fe:00 77                       /m/a b.onnx
Anonymous:             0 kB
7f0000030000-7f0000040000 rw-p 00000000 00:00 0
Anonymous:             0 kB
7f0000040000-7f0000050000 r--p 00000000 fe:00 78                       /m/line\\012break
Anonymous:             0 kB
`;

Deno.test("cleanMappings() finds private mappings that nobody wrote to", () => {
  const found = cleanMappings(SMAPS, new Set(["/m/a b.onnx", "/m/line\nbreak"]));
  assert.deepEqual(found, [
    {
      start: 0x7f0000000000n,
      end: 0x7f0000010000n,
      byteOffset: 0x2000,
      inode: 77n,
      path: "/m/a b.onnx",
    },
    {
      start: 0x7f0000040000n,
      end: 0x7f0000050000n,
      byteOffset: 0,
      inode: 78n,
      path: "/m/line\nbreak",
    },
  ]);
  assert.deepEqual(cleanMappings(SMAPS, new Set(["/m/other"])), []);
});

Deno.test("mappingOf() reads a line of maps, and none of anonymous memory", () => {
  const [line = "", , , , , , , anonymous = ""] = SMAPS.split("\n");
  assert.equal(mappingOf(line)?.inode, 77n);
  assert.equal(mappingOf(anonymous), null);
  assert.equal(mappingOf("Size: 64 kB"), null);
});

Deno.test("areasIn() rounds to pages, within a mapping, and names shared pages once", () => {
  const mapping = {
    start: 0x10000n,
    end: 0x20000n,
    byteOffset: 0x2000,
    inode: 7n,
    path: "/m",
  };
  const range = (byteOffset: number, byteLength: number) => ({
    path: "/m",
    byteOffset,
    byteLength,
  });
  const areas = areasIn([mapping], [range(0x3001, 10), range(0x3100, 0x1000)], 4096);
  assert.deepEqual(areas, [
    { address: 0x11000n, byteLength: 0x2000, path: "/m", byteOffset: 0x3000, inode: 7n },
  ]);
  assert.deepEqual(areasIn([mapping], [range(0, 0x1000), range(0x20000, 8)], 4096), []);
  const [whole] = areasIn([mapping], [range(0, 1 << 20)], 4096);
  assert.equal(whole?.byteLength, 0x10000);
});

Deno.test("shows() tells an area from what took its addresses", () => {
  const area = { address: 0x11000n, byteLength: 0x2000, path: "/m", byteOffset: 0x3000, inode: 7n };
  const mapping = { start: 0x10000n, end: 0x20000n, byteOffset: 0x2000, inode: 7n };
  assert.ok(shows(mapping, area));
  assert.ok(!shows({ ...mapping, inode: 8n }, area));
  assert.ok(!shows({ ...mapping, byteOffset: 0 }, area));
  assert.ok(!shows({ ...mapping, end: 0x12000n }, area));
  assert.ok(!shows({ ...mapping, start: 0x12000n }, area));
});
