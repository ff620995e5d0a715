// What the skimmer leaves out, what it keeps, and that nothing else changes.

import assert from "node:assert/strict";
import { clearField, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { type ModelProto, ModelProtoSchema, type TensorProto, TensorProtoSchema } from "onnx-buf";
import type { ErrorCode } from "../../errors/codes.ts";
import { HooklineError } from "../../errors/hookline_error.ts";
import { memorySource } from "../../graph/byte_source.ts";
import { externalReferenceOf, readSkeleton } from "../../graph/skeleton.ts";
import { SELF_LOCATION, skimModel } from "../../graph/skim.ts";
import { walkTensors } from "../../graph/walk_tensors.ts";
import { encodeVarint } from "../../graph/wire.ts";
import { loadCorpus } from "../fuzz/corpus.ts";
import { expectCode } from "../sessions/expect_code.ts";
import {
  externalFloats,
  floats,
  functionOf,
  graph,
  int64s,
  modelBytes,
  type ModelParts,
  node,
} from "../support/build_model.ts";

function skim(bytes: Uint8Array) {
  const { bytes: skimmed, elidedByteLength } = skimModel(memorySource(bytes));
  const model = fromBinary(ModelProtoSchema, skimmed, { recursionLimit: 1000 });
  return { model, skimmed, elidedByteLength, left: elided(model) };
}

/** Names of the tensors that were left behind, in file order. */
function elided(model: ModelProto): string[] {
  return [...walkTensors(model)].filter((tensor) =>
    tensor.dataLocation === 1 && externalReferenceOf(tensor)?.location === SELF_LOCATION
  ).map((tensor) => tensor.name);
}

/** Puts back what was left out, into the field that it came from. */
function restore(model: ModelProto, bytes: Uint8Array, original: ModelProto): ModelProto {
  const originals = [...walkTensors(original)];
  for (const [index, tensor] of [...walkTensors(model)].entries()) {
    const reference = externalReferenceOf(tensor);
    if (reference?.location !== SELF_LOCATION) continue;
    const { byteOffset, byteLength } = reference;
    const payload = bytes.slice(byteOffset, byteOffset + (byteLength ?? 0));
    const before = originals[index] as TensorProto;
    clearField(tensor, TensorProtoSchema.field.dataLocation);
    tensor.externalData = [];
    if (before.floatData.length > 0) tensor.floatData = [...new Float32Array(payload.buffer)];
    else if (before.doubleData.length > 0) {
      tensor.doubleData = [...new Float64Array(payload.buffer)];
    } else tensor.rawData = payload;
  }
  return model;
}

function assertNothingLost(bytes: Uint8Array): void {
  const original = fromBinary(ModelProtoSchema, bytes, { recursionLimit: 1000 });
  const { model } = skim(bytes);
  const restored = toBinary(ModelProtoSchema, restore(model, bytes, original));
  assert.ok(Buffer.compare(restored, toBinary(ModelProtoSchema, original)) === 0);
}

function one(...initializers: readonly TensorProto[]): Uint8Array {
  return modelBytes({
    nodes: [node("Relu", ["x"], ["y"])],
    inputs: ["x"],
    outputs: ["y"],
    initializers,
  });
}

for (const { name, bytes } of loadCorpus()) {
  Deno.test(`skimModel() loses nothing of ${name}`, () => assertNothingLost(bytes));
}

const BIG = 300; // floats: 1,200 bytes

const arbitraryTensor = fc.record({
  length: fc.nat(600),
  kind: fc.constantFrom("raw", "float", "double", "int64", "external", "string"),
  name: fc.string(),
}).map(({ length, kind, name }): TensorProto => {
  const tensor = floats(name, [length]);
  switch (kind) {
    case "float":
      tensor.floatData = [...new Float32Array(tensor.rawData.slice().buffer)];
      clearField(tensor, TensorProtoSchema.field.rawData);
      break;
    case "double":
      tensor.dataType = 11;
      tensor.doubleData = Array.from({ length }, (_, index) => index / 3);
      clearField(tensor, TensorProtoSchema.field.rawData);
      break;
    case "int64":
      return int64s(name, Array.from({ length: length * 20 }, (_, index) => index - 5));
    case "external":
      return externalFloats(name, [length], { location: "w.bin", offset: "4" });
    case "string":
      tensor.dataType = 8;
      tensor.stringData = [tensor.rawData.slice()];
      clearField(tensor, TensorProtoSchema.field.rawData);
      break;
  }
  return tensor;
});

const arbitraryModel = fc.letrec<{ parts: ModelParts }>((tie) => ({
  parts: fc.record({
    name: fc.string(),
    initializers: fc.array(arbitraryTensor, { maxLength: 4 }),
    nodes: fc.array(
      fc.tuple(
        fc.string(),
        fc.option(arbitraryTensor, { nil: undefined }),
        fc.option(tie("parts"), { nil: undefined, depthSize: "small" }),
      ).map(([name, value, body]) =>
        node(name, [name], [name], {
          attributes: {
            ...(value === undefined ? {} : { value }),
            ...(body === undefined ? {} : { body: graph(body as ModelParts) }),
          },
        })
      ),
      { maxLength: 4 },
    ),
  }),
})).parts;

Deno.test("skimModel() loses nothing of generated models, bodies and functions among them", () => {
  fc.assert(fc.property(arbitraryModel, arbitraryModel, (parts, inner) => {
    const functions = [functionOf("f", { nodes: [...inner.nodes ?? []] })];
    assertNothingLost(modelBytes({ ...parts, functions }));
  }));
});

Deno.test("skimModel() leaves payloads of a kilobyte and more, and keeps smaller ones", () => {
  const found = skim(one(floats("below", [255]), floats("at", [256]), floats("above", [4096])));
  assert.deepEqual(found.left, ["at", "above"]);
  assert.equal(found.elidedByteLength, 1024 + 16_384);
  assert.ok(found.skimmed.length < 1500);
});

Deno.test("skimModel() refers to the very bytes of the file", () => {
  const weights = floats("w", [BIG]);
  const bytes = one(weights);
  const tensor = skim(bytes).model.graph?.initializer[0] as TensorProto;
  const { byteOffset = 0, byteLength = 0 } = externalReferenceOf(tensor) ?? {};
  assert.deepEqual(bytes.slice(byteOffset, byteOffset + (byteLength ?? 0)), weights.rawData);
});

Deno.test("skimModel() keeps one-dimensional integers that may be a shape, up to 64 KiB", () => {
  const range = (length: number) => Array.from({ length }, (_, index) => index);
  const scalar = int64s("scalar", [3], []);
  const matrix = int64s("matrix", range(256), [16, 16]);
  const { left } = skim(
    one(scalar, int64s("kept", range(8191)), int64s("big", range(8192)), matrix),
  );
  assert.deepEqual(left, ["big", "matrix"]);
});

Deno.test("skimModel() reads the rank of packed dims, sizes over 127 too", () => {
  // proto3 writers pack `dims`: one field that holds the varint 300, of two bytes.
  const values = new Uint8Array(BigInt64Array.from({ length: 300 }, (_, i) => BigInt(i)).buffer);
  const packed = (dims: Uint8Array) => field(1, join(Uint8Array.of(0x0a, dims.length), dims));
  const tensor = (dims: Uint8Array) =>
    join(packed(dims).subarray(2), Uint8Array.of(0x10, 7), field(9, values));
  const model = (dims: Uint8Array) => join(Uint8Array.of(8, 10), field(7, field(5, tensor(dims))));
  assert.equal(skim(model(encodeVarint(300))).left.length, 0);
  assert.equal(skim(model(join(encodeVarint(20), encodeVarint(15)))).left.length, 1);
  assert.deepEqual(skim(model(encodeVarint(300))).model.graph?.initializer[0]?.dims, [300n]);
});

Deno.test("skimModel() refers to packed float_data and double_data of their own types", () => {
  const typed = (name: string, dataType: number, change: Partial<TensorProto>): TensorProto => {
    const tensor = floats(name, [BIG]);
    clearField(tensor, TensorProtoSchema.field.rawData);
    return Object.assign(tensor, { dataType, ...change });
  };
  const numbers = Array.from({ length: BIG }, (_, index) => index);
  const { left } = skim(one(
    typed("float", 1, { floatData: numbers }),
    typed("double", 11, { doubleData: numbers }),
    typed("complex64", 14, { floatData: numbers }),
    typed("complex128", 15, { doubleData: numbers }),
    typed("float16", 10, { int32Data: numbers }),
    typed("uint8", 2, { int32Data: numbers }),
    typed("mixed", 1, { floatData: numbers, rawData: new Uint8Array(1200) as never }),
  ));
  assert.deepEqual(left, ["float", "double"]);
});

Deno.test("skimModel() keeps typed data that are not packed", () => {
  const unpacked = join(
    ...Array.from({ length: BIG }, (_, index) => Uint8Array.of(0x25, 0, 0, index & 0xff, 0x3f)),
  );
  const tensor = join(Uint8Array.of(0x08, 0xac, 0x02, 0x10, 1), unpacked);
  const bytes = join(Uint8Array.of(8, 10), field(7, field(5, tensor)));
  const { model, left } = skim(bytes);
  assert.deepEqual(left, []);
  assert.equal(model.graph?.initializer[0]?.floatData.length, BIG);
});

Deno.test("skimModel() keeps external data and strings as they are", () => {
  const outside = externalFloats("w", [BIG], { location: "w.bin", offset: "8", length: "1200" });
  const text = floats("text", [1], () => 0);
  Object.assign(text, {
    dataType: 8,
    rawData: new Uint8Array(),
    stringData: [new Uint8Array(2000)],
  });
  const { model, left } = skim(one(outside, text));
  assert.deepEqual(left, []);
  assert.deepEqual(
    model.graph?.initializer[0]?.externalData.map(({ key, value }) => [key, value]),
    [["location", "w.bin"], ["offset", "8"], ["length", "1200"]],
  );
});

Deno.test("skimModel() reaches bodies, Constant nodes and functions", () => {
  const body = (name: string) =>
    graph({
      nodes: [
        node("Constant", [], ["c"], { attributes: { value: floats(`${name}.constant`, [BIG]) } }),
      ],
      outputs: ["c"],
      initializers: [floats(`${name}.weight`, [BIG])],
    });
  const { left } = skim(modelBytes({
    nodes: [
      node("Constant", [], ["top"], { attributes: { value: floats("top.constant", [BIG]) } }),
      node("If", ["x"], ["y"], {
        attributes: { then_branch: body("then"), else_branch: body("else") },
      }),
      node("Switch", ["x"], ["z"], { attributes: { graphs: { graphs: [body("first")] } } }),
    ],
    functions: [functionOf("f", {
      nodes: [node("If", ["x"], ["y"], { attributes: { then_branch: body("function") } })],
      defaults: { value: floats("default", [BIG]) },
    })],
  }));
  assert.deepEqual(left, [
    "top.constant",
    ...["then", "else", "first"].flatMap((name) => [`${name}.weight`, `${name}.constant`]),
    "default",
    "function.weight",
    "function.constant",
  ]);
});

Deno.test("skimModel() sees graphs that were appended to one another as protobuf merges them", () => {
  const part = (name: string) =>
    modelBytes({
      nodes: [node("Relu", [name], [`${name}_out`])],
      initializers: [floats(name, [BIG])],
    });
  const { model, left } = skim(join(part("first"), part("second")));
  assert.deepEqual(left, ["first", "second"]);
  assert.deepEqual(model.graph?.node.map((held) => held.output[0]), ["first_out", "second_out"]);
});

Deno.test("skimModel() leaves nothing out of a tensor attribute that comes in pieces", () => {
  // Merged, the second piece's raw_data wins; a reference from the first would outlive it.
  const large = field(5, join(Uint8Array.of(0x10, 1), field(9, new Uint8Array(2000))));
  const small = field(5, join(Uint8Array.of(0x08, 1), field(9, Uint8Array.of(0, 0, 0x80, 0x3f))));
  const attribute = join(field(1, text("value")), large, small);
  const bytes = join(
    Uint8Array.of(8, 10),
    field(7, field(1, join(field(4, text("Constant")), field(5, attribute)))),
  );
  const { model, left } = skim(bytes);
  const held = model.graph?.node[0]?.attribute[0]?.t;
  assert.deepEqual(left, []);
  assert.deepEqual([held?.dataLocation, held?.rawData.length], [0, 4]);
});

Deno.test("skimModel() keeps fields that it does not know", () => {
  const inner = join(field(5, join(floatsField(), field(900, text("unknown tensor field")))));
  const bytes = join(Uint8Array.of(8, 10), field(7, join(inner, field(901, text("in the graph")))));
  const { skimmed, left } = skim(join(bytes, field(902, text("in the model"))));
  assert.equal(left.length, 1);
  for (const sentence of ["unknown tensor field", "in the graph", "in the model"]) {
    assert.ok(Buffer.from(skimmed).includes(sentence), sentence);
  }
});

const OTHER_FORMATS: Readonly<Record<string, string>> = {
  "an ONNX Runtime flatbuffer": "\x18\0\0\0ORTM",
  "a TensorFlow Lite flatbuffer": "\x1c\0\0\0TFL3",
  "a zip archive": "PK\x03\x04",
  "gzip data": "\x1f\x8b\x08",
  "an HDF5 file": "\x89HDF\r\n",
  "a GGUF file": "GGUF",
  "a NumPy array": "\x93NUMPY",
  "a Git LFS pointer": "version https://git-lfs.github.com/spec/v1\n",
  "text (HTML or XML)": "<!doctype html>",
  "text (JSON)": "{}",
  "an empty file": "",
};

for (const [what, start] of Object.entries(OTHER_FORMATS)) {
  Deno.test(`skimModel() calls ${what} by its name`, async () => {
    const padding = start === "" ? 0 : 100;
    const bytes = join(Uint8Array.from(start, (c) => c.charCodeAt(0)), new Uint8Array(padding));
    const error = await refused("MODEL_NOT_ONNX", bytes);
    assert.ok(error.message.includes(what), error.message);
  });
}

Deno.test("skimModel() refuses bytes that no ModelProto starts with", async () => {
  await refused("MODEL_NOT_ONNX", field(50, text("x")));
  await refused("MODEL_NOT_ONNX", text("Lorem ipsum dolor sit amet, consectetur"));
});

Deno.test("skimModel() takes a producer whose name starts like a magic number", () => {
  for (const producer of ["ORTModule", "TFL3 converter"]) {
    const bytes = join(Uint8Array.of(8, 10), field(2, text(producer)), one().subarray(2));
    assert.equal(skim(bytes).model.producerName, producer);
  }
});

Deno.test("skimModel() ends in a code wherever the file is cut", () => {
  const bytes = modelBytes({
    nodes: [node("If", ["x"], ["y"], { attributes: { then_branch: graph({ outputs: ["x"] }) } })],
    inputs: ["x"],
    initializers: [floats("w", [BIG])],
    functions: [functionOf("f", {})],
  });
  const codes = new Set<string>();
  for (let length = 0; length < bytes.length; length++) {
    try {
      readSkeleton(bytes.subarray(0, length));
      codes.add("fine");
    } catch (error) {
      assert.ok(error instanceof HooklineError, `${length}: ${error}`);
      codes.add(error.code);
    }
  }
  assert.deepEqual([...codes].sort(), ["MODEL_EMPTY", "MODEL_NOT_ONNX", "MODEL_TRUNCATED", "fine"]);
});

function nestedGraph(depth: number, padding = 0): Uint8Array {
  let bytes: Uint8Array = field(2, new Uint8Array(padding));
  for (let level = 1; level < depth; level++) bytes = field(1, field(5, field(6, bytes)));
  return bytes;
}

function nested(depth: number, padding = 0): Uint8Array {
  return join(Uint8Array.of(8, 10), field(7, nestedGraph(depth, padding)));
}

Deno.test("graphs nest 64 deep, in messages of any size", () => {
  for (const padding of [0, 2000]) {
    assert.equal(readSkeleton(nested(64, padding)).model.irVersion, 10n);
  }
});

Deno.test("graphs that nest deeper are MODEL_TOO_DEEP, in less than a kilobyte too", async () => {
  for (const [depth, padding] of [[70, 0], [65, 2000], [100, 0], [10_000, 0]] as const) {
    const bytes = nested(depth, padding);
    if (depth < 100) assert.ok(bytes.length < 1024 + padding);
    await expectCode("MODEL_TOO_DEEP", () => readSkeleton(bytes));
  }
});

Deno.test("types and training graphs that nest without end are MODEL_TOO_DEEP as well", async () => {
  let type: Uint8Array = new Uint8Array();
  for (let level = 0; level < 5000; level++) type = field(4, field(1, type));
  const value = field(11, join(field(1, text("x")), field(2, type)));
  await expectCode(
    "MODEL_TOO_DEEP",
    () => readSkeleton(join(Uint8Array.of(8, 10), field(7, value))),
  );
  const training = field(20, field(1, nestedGraph(5000)));
  await expectCode("MODEL_TOO_DEEP", () => readSkeleton(join(one(), training)));
});

Deno.test("skimModel() reads a tensor of a million unpacked numbers without a list of them", () => {
  const tensor = new Uint8Array(6_000_000);
  for (let at = 0; at < tensor.length; at += 2) tensor[at] = 0x38; // int64_data: 0
  const bytes = join(Uint8Array.of(8, 10), field(7, field(5, tensor)));
  const before = Deno.memoryUsage().heapUsed;
  skimModel(memorySource(bytes));
  assert.ok(Deno.memoryUsage().heapUsed - before < 100_000_000);
});

function refused(code: ErrorCode, bytes: Uint8Array) {
  return expectCode(code, () => skimModel(memorySource(bytes)));
}

function floatsField(): Uint8Array {
  return join(Uint8Array.of(0x08, 0xac, 0x02, 0x10, 1), field(9, new Uint8Array(1200)));
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function field(number: number, payload: Uint8Array): Uint8Array {
  return join(encodeVarint(number * 8 + 2), encodeVarint(payload.length), payload);
}

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}
