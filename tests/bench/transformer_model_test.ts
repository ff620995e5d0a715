import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema } from "onnx-buf";
import { LARGE_TRANSFORMER } from "../../bench/large_model.ts";
import {
  describeTransformer,
  transformerBytes,
  writeTransformer,
  type WriteTransformerOptions,
} from "../../bench/transformer_model.ts";

const SMALL = { blocks: 2, width: 48, heads: 4 };

function withFolder(body: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "hookline-test-"));
  try {
    body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function decode(bytes: Uint8Array): ModelProto {
  return fromBinary(ModelProtoSchema, bytes);
}

Deno.test("transformerBytes() gives the same bytes for the same seed and others for another", () => {
  const bytes = transformerBytes(SMALL);
  assert.deepEqual(transformerBytes(SMALL), bytes);
  const other = transformerBytes({ ...SMALL, seed: 2 });
  assert.equal(other.byteLength, bytes.byteLength);
  assert.notDeepEqual(other, bytes);
});

const VARIANTS: readonly WriteTransformerOptions[] = [
  SMALL,
  { ...SMALL, dtype: "float16" },
  { ...SMALL, vocabulary: 100 },
  { ...SMALL, width: 300, tokens: 8, batch: 2 }, // weights of more than one chunk
];

for (const options of VARIANTS) {
  const named = JSON.stringify(options);
  Deno.test(`writeTransformer() writes the bytes of transformerBytes() and reports them: ${named}`, () => {
    withFolder((folder) => {
      const path = join(folder, "model.onnx");
      const report = writeTransformer(path, options);
      const bytes = readFileSync(path);
      assert.ok(bytes.equals(transformerBytes(options)));
      assert.equal(report.fileByteLength, bytes.byteLength);
      assert.deepEqual(describeTransformer(options), report);
    });
  });
}

Deno.test("transformerBytes() is the canonical encoding", () => {
  const bytes = transformerBytes({ ...SMALL, vocabulary: 100 });
  assert.deepEqual(toBinary(ModelProtoSchema, decode(bytes)), bytes);
});

Deno.test("writeTransformer() with external weights holds the same values in another file", () => {
  withFolder((folder) => {
    const path = join(folder, "model.onnx");
    const report = writeTransformer(path, { ...SMALL, weights: "external" });
    const bytes = readFileSync(path);
    assert.equal(report.fileByteLength, bytes.byteLength);
    const data = readFileSync(`${path}.data`);
    assert.equal(data.byteLength, report.weightByteLength);
    const inline = decode(transformerBytes(SMALL)).graph?.initializer ?? [];
    const external = decode(bytes).graph?.initializer ?? [];
    assert.equal(external.length, inline.length);
    for (const [index, tensor] of external.entries()) {
      const entry = (key: string) => tensor.externalData.find((item) => item.key === key)?.value;
      assert.equal(entry("location"), "model.onnx.data");
      const offset = Number(entry("offset"));
      const found = data.subarray(offset, offset + Number(entry("length")));
      assert.ok(found.equals(inline[index]?.rawData ?? new Uint8Array()), tensor.name);
    }
  });
});

Deno.test("the transformer is named as PyTorch's exporter names", () => {
  const { graph } = decode(transformerBytes(SMALL));
  const nodes = graph?.node.map((node) => node.name) ?? [];
  for (
    const name of [
      "/blocks.0/ln1/LayerNormalization",
      "/blocks.0/attn/q/MatMul",
      "/blocks.1/attn/MatMul_1",
      "/blocks.1/mlp/act/Erf",
      "/blocks.1/Add_1",
      "/norm/LayerNormalization",
    ]
  ) assert.ok(nodes.includes(name), name);
  assert.equal(new Set(nodes).size, nodes.length);
  const weights = graph?.initializer.map((tensor) => tensor.name) ?? [];
  assert.ok(weights.includes("blocks.0.attn.q.weight"));
  assert.ok(weights.includes("blocks.1.mlp.fc2.bias"));
  assert.equal(weights.length, 2 * 16 + 2);
});

Deno.test("the default transformer and the large one have the sizes that they state", () => {
  const small = describeTransformer();
  assert.equal(small.parameterCount, 24_985_792);
  assert.equal(small.weightByteLength, 99_943_168);
  const large = describeTransformer(LARGE_TRANSFORMER);
  assert.equal(large.weightByteLength, 2_082_587_136);
  assert.ok(large.fileByteLength < 2 ** 31);
});

Deno.test("transformerBytes() refuses sizes that make no model", () => {
  assert.throws(() => transformerBytes({ ...SMALL, heads: 5 }), RangeError);
  assert.throws(() => transformerBytes({ ...SMALL, blocks: 0 }), RangeError);
  assert.throws(() => transformerBytes({ ...SMALL, width: 1.5 }), RangeError);
});
