import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema } from "onnx-buf";
import { packedLast } from "../../../pipeline/residency/packed_layout.ts";
import { prepackedStream } from "../../../pipeline/residency/prepacked_stream.ts";
import { openWeightMemory } from "../../../sessions/mapped_weights/weight_memory.ts";
import { blocksModel } from "./_blocks_model.ts";
import { streaming } from "./_streaming.ts";

const PAGE = 4096;
const LARGE_PAGE = 2 ** 21;

function model(weights: readonly Readonly<Record<string, string>>[]): Uint8Array {
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      graph: {
        initializer: weights.map((entries, index) => ({
          name: `w${index}`,
          externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
        })),
      },
    }),
  );
}

function entriesOf(bytes: Uint8Array): Readonly<Record<string, string>>[] {
  const { graph } = fromBinary(ModelProtoSchema, bytes) as ModelProto;
  return (graph?.initializer ?? []).map(({ externalData }) =>
    Object.fromEntries(externalData.map(({ key, value }) => [key, value]))
  );
}

Deno.test("packedLast() puts what runs read behind all else, next to one another", () => {
  const layout = packedLast(model([
    { location: "b", offset: "0", length: "100", prepacked_0: "MatMul+1|4096;5000;0" },
    { location: "b", offset: "12288", length: "8", prepacked_0: "A|16384;10;0|20480;20;7" },
    { location: "b", offset: "24576", length: "7" },
  ]));
  assert.ok(layout !== null);
  assert.deepEqual(layout.pieces, [
    { from: 0, to: 0, byteLength: 100 },
    { from: 12288, to: PAGE, byteLength: 8 },
    { from: 4096, to: LARGE_PAGE, byteLength: 5000 },
    { from: 16384, to: LARGE_PAGE + 2 * PAGE, byteLength: 10 },
    { from: 20480, to: LARGE_PAGE + 3 * PAGE, byteLength: 20 },
    { from: 24576, to: LARGE_PAGE + 4 * PAGE, byteLength: 7 },
  ]);
  assert.deepEqual(entriesOf(layout.model), [
    { location: "b", offset: "0", length: "100", prepacked_0: "MatMul+1|2097152;5000;0" },
    {
      location: "b",
      offset: "4096",
      length: "8",
      prepacked_0: "A|2105344;10;0|2109440;20;7",
    },
    { location: "b", offset: "2113536", length: "7" },
  ]);
});

Deno.test("packedLast() leaves alone what it does not know", () => {
  const plain = { location: "b", offset: "0", length: "8" };
  for (
    const entries of [
      { location: "b", offset: "0" },
      { location: "b", length: "8" },
      { ...plain, offset: "-1" },
      { ...plain, prepacked_0: "MatMul" },
      { ...plain, prepacked_0: "MatMul|1;2" },
      { ...plain, prepacked_0: "MatMul|1;2;3;4" },
      { ...plain, prepacked_0: "MatMul|one;2;3" },
    ]
  ) assert.equal(packedLast(model([entries])), null, JSON.stringify(entries));
});

Deno.test("prepackedStream() writes what is packed in one stretch, as long as ONNX Runtime's form is known", async () => {
  using file = blocksModel({ width: 64 });
  const folder = mkdtempSync(join(tmpdir(), "hookline-layout-"));
  using _removed = { [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
  using memory = openWeightMemory();
  const { host, streamed } = await streaming(file.path);
  const stream = prepackedStream({ host, memory, cacheFolder: folder });
  for (const each of streamed) await stream.encode(each);
  await stream.closed();
  const names = readdirSync(folder);
  assert.equal(names.length, streamed.length);
  for (const name of names) {
    const layout = packedLast(readFileSync(join(folder, name, "block.onnx")));
    assert.ok(layout !== null);
    const packed = layout.pieces.filter(({ to }) => to >= LARGE_PAGE);
    assert.ok(packed.length >= 4);
    assert.ok(layout.pieces.every(({ from, to }) => from === to), "it is laid out so already");
  }
});
