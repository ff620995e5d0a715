import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyInLargePieces } from "../../../pipeline/residency/large_writes.ts";
import { openWeightMemory } from "../../../sessions/mapped_weights/weight_memory.ts";
import { prepackedStream } from "../../../pipeline/residency/prepacked_stream.ts";
import { blocksModel } from "./_blocks_model.ts";
import { streaming } from "./_streaming.ts";

function folder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "hookline-writes-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

Deno.test("copyInLargePieces() copies every byte, also around the size of a piece", () => {
  using own = folder();
  const piece = 16 * 2 ** 20;
  for (const byteLength of [0, 1, piece - 1, piece, piece + 1, 2 * piece + 4097]) {
    const bytes = new Uint8Array(byteLength);
    for (let at = 0; at < byteLength; at += 4093) bytes[at] = at % 251 + 1;
    const [from, to] = [join(own.path, "from"), join(own.path, `to ${byteLength}`)];
    writeFileSync(from, bytes);
    copyInLargePieces(from, to);
    assert.ok(readFileSync(to).equals(bytes), `${byteLength} bytes`);
  }
});

Deno.test("copyInLargePieces() moves pieces to their new places, with zeros between them", () => {
  using own = folder();
  const piece = 16 * 2 ** 20;
  const bytes = Uint8Array.from({ length: 1000 }, (_, at) => at % 251 + 1);
  const [from, to] = [join(own.path, "from"), join(own.path, "to")];
  writeFileSync(from, bytes);
  copyInLargePieces(from, to, [
    { from: 500, to: 10, byteLength: 20 },
    { from: 0, to: 30, byteLength: 0 },
    { from: 100, to: piece - 5, byteLength: 30 },
  ]);
  const wanted = new Uint8Array(piece + 25);
  wanted.set(bytes.subarray(500, 520), 10);
  wanted.set(bytes.subarray(100, 130), piece - 5);
  assert.ok(readFileSync(to).equals(wanted));
  const late = [{ from: 990, to: 0, byteLength: 20 }];
  assert.throws(() => copyInLargePieces(from, join(own.path, "late"), late), /ends too early/);
});

Deno.test("copyInLargePieces() writes over nothing, and names what is not there", () => {
  using own = folder();
  const [from, to] = [join(own.path, "from"), join(own.path, "to")];
  assert.throws(() => copyInLargePieces(from, to), { code: "ENOENT" });
  assert.ok(!existsSync(to));
  writeFileSync(from, "new");
  writeFileSync(to, "old");
  assert.throws(() => copyInLargePieces(from, to), { code: "EEXIST" });
  assert.equal(readFileSync(to, "utf8"), "old");
});

Deno.test("prepackedStream() leaves nothing in its cache but what sessions open", async () => {
  using file = blocksModel({ width: 64 });
  using own = folder();
  using memory = openWeightMemory();
  const { host, streamed } = await streaming(file.path);
  const stream = prepackedStream({ host, memory, cacheFolder: own.path });
  for (const each of streamed) await stream.encode(each);
  for (const name of readdirSync(own.path)) {
    const files = readdirSync(join(own.path, name)).sort();
    assert.deepEqual(files, ["block.bin", "block.onnx", "sizes.json"]);
  }
  await stream.closed();
});
