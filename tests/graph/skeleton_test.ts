// Where a model's parts lie after reading, and that ONNX Runtime computes the same from a skeleton.

import assert from "node:assert/strict";
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { TensorProtoSchema } from "onnx-buf";
import { externalReferenceOf, readSkeleton } from "../../graph/skeleton.ts";
import { encodeTapped } from "../../graph/sub_model.ts";
import { walkTensors } from "../../graph/walk_tensors.ts";
import { encodeVarint } from "../../graph/wire.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { skippable } from "../skippable.ts";
import {
  externalFloats,
  floats,
  graph,
  int64s,
  modelBytes,
  type ModelParts,
  node,
  valueInfo,
} from "../support/build_model.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { assertSameBits, rampTensor, runModel } from "../support/run_model.ts";

function withFolder(action: (folder: string) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "hookline-skeleton-"));
    try {
      await action(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

const X = valueInfo("x", "float32", [2, 16]);
const Y = valueInfo("y", "float32", [2, 16]);

Deno.test("readSkeleton() takes a path, a file: URL and bytes for the same model", () => {
  const path = fixturePath("torch", "unet", "model.onnx");
  const byPath = readSkeleton(path);
  const byUrl = readSkeleton(pathToFileURL(path));
  const byBytes = readSkeleton(new Uint8Array(readFileSync(path)));
  assert.equal(byPath.label, "model.onnx");
  assert.equal(byBytes.label, "bytes");
  for (const skeleton of [byUrl, byBytes]) {
    assert.equal(skeleton.elidedByteLength, byPath.elidedByteLength);
    assert.equal(skeleton.fileByteLength, byPath.fileByteLength);
    assert.equal(skeleton.model.graph?.node.length, byPath.model.graph?.node.length);
  }
  assert.ok(byPath.elidedByteLength > 0);
  assert.ok(byPath.structureByteLength < byPath.fileByteLength);
});

Deno.test("readSkeleton() of a path refers to the file, of bytes views the bytes", () => {
  const path = fixturePath("torch", "unet", "model.onnx");
  const locations = new Set(
    [...walkTensors(readSkeleton(path).model)].map((tensor) =>
      externalReferenceOf(tensor)?.location
    ),
  );
  assert.deepEqual(locations, new Set([undefined, "model.onnx"]));
  const bytes = new Uint8Array(readFileSync(path));
  const views = [...walkTensors(readSkeleton(bytes).model)];
  assert.ok(views.every((tensor) => externalReferenceOf(tensor) === null));
  assert.ok(views.some((tensor) => tensor.rawData.buffer === bytes.buffer));
});

Deno.test("readSkeleton() refuses a model without a graph as MODEL_EMPTY", async () => {
  await expectCode("MODEL_EMPTY", () => readSkeleton(Uint8Array.of(0x08, 0x0a)));
});

Deno.test("readSkeleton() names the missing file", async () => {
  const error = await expectCode("MODEL_NOT_FOUND", () => readSkeleton("nowhere/model.onnx"));
  assert.ok(error.message.includes("nowhere"));
});

Deno.test("externalReferenceOf() reads what the model says and defaults the rest", () => {
  const reference = (entries: { location: string; offset?: string; length?: string }) =>
    externalReferenceOf(externalFloats("w", [4], entries));
  assert.deepEqual(reference({ location: "w.bin" }), {
    location: "w.bin",
    byteOffset: 0,
    byteLength: null,
  });
  assert.deepEqual(reference({ location: "w.bin", offset: "8", length: "16" }), {
    location: "w.bin",
    byteOffset: 8,
    byteLength: 16,
  });
  assert.equal(externalReferenceOf(floats("w", [4])), null);
});

Deno.test("externalReferenceOf() refuses missing locations and impossible numbers", async () => {
  const refused = (entries: { location: string; offset?: string; length?: string }) =>
    expectCode("MODEL_MALFORMED", () => externalReferenceOf(externalFloats("w", [4], entries)));
  await refused({ location: "" });
  for (const number of ["-1", "1.5", "1e3", "x", "", " 4", "99999999999999999"]) {
    await refused({ location: "w.bin", offset: number });
    await refused({ location: "w.bin", length: number });
  }
  await refused({ location: "w\ufffd.bin" }); // what bytes that are no text become
  const nameless = create(TensorProtoSchema, { dataLocation: 1 });
  await expectCode("MODEL_MALFORMED", () => externalReferenceOf(nameless));
});

Deno.test("externalReferenceOf() is not fooled by a data location that the enum does not have", () => {
  // Like ONNX Runtime, the decoder drops the number 2 and keeps the EXTERNAL before it.
  const encoded = toBinary(TensorProtoSchema, externalFloats("w", [4], { location: "w.bin" }));
  const tensor = fromBinary(TensorProtoSchema, Uint8Array.of(...encoded, 0x70, 2));
  assert.equal(externalReferenceOf(tensor)?.location, "w.bin");
});

/** A model with every place that a weight can lie in, all large enough to be left in the file. */
function weightsEverywhere(): ModelParts {
  const branch = (name: string) =>
    graph({
      nodes: [
        node("Constant", [], [`${name}_c`], {
          attributes: { value: floats("", [16, 16], (index) => index / 512) },
        }),
        node("MatMul", ["scaled", `${name}_c`], [`${name}_m`]),
        node("MatMul", [`${name}_m`, `${name}_w`], [`${name}_y`]),
      ],
      outputs: [`${name}_y`],
      initializers: [floats(`${name}_w`, [16, 16])],
    });
  return {
    inputs: [X],
    outputs: [valueInfo("y", "float32")],
    nodes: [
      node("Constant", [], ["c"], { attributes: { value: floats("", [16, 16]) } }),
      node("MatMul", ["x", "c"], ["product"]),
      node("Reshape", ["product", "shape"], ["shaped"]),
      node("MatMul", ["shaped", "w"], ["scaled"]),
      node("ReduceMax", ["scaled"], ["largest"], { attributes: { keepdims: 0 } }),
      node("Greater", ["largest", "zero"], ["condition"]),
      node("If", ["condition"], ["y"], {
        attributes: { then_branch: branch("then"), else_branch: branch("else") },
      }),
    ],
    initializers: [
      floats("w", [16, 16], (index) => Math.cos(index)),
      floats("zero", []),
      int64s("shape", [1, 2, 16]),
    ],
  };
}

Deno.test(
  "ONNX Runtime computes the same bits from a skeleton: initializers, Constants, bodies",
  withFolder(async (folder) => {
    const path = join(folder, "model.onnx");
    writeFileSync(path, modelBytes(weightsEverywhere()));
    const skeleton = readSkeleton(path);
    assert.equal(skeleton.elidedByteLength, 6 * 1024);
    const bytes = encodeTapped(skeleton.model, []);
    for (const optimization of ["disabled", "all"] as const) {
      for (const sign of [1, -1]) {
        const x = rampTensor([2, 16]);
        const feeds = { x: { ...x, data: (x.data as Float32Array).map((value) => value * sign) } };
        assertSameBits(
          await runModel({ kind: "bytes", bytes, weightFolder: folder }, feeds, optimization),
          await runModel({ kind: "file", path }, feeds, optimization),
        );
      }
    }
  }),
);

Deno.test(
  "ONNX Runtime computes the same bits from packed float_data and double_data left in the file",
  withFolder(async (folder) => {
    const typed = (name: string, dataType: number, values: object) =>
      create(TensorProtoSchema, { name, dims: [16n, 16n], dataType, ...values });
    const numbers = Array.from({ length: 256 }, (_, index) => Math.sin(index));
    const path = join(folder, "model.onnx");
    writeFileSync(
      path,
      modelBytes({
        inputs: [X],
        outputs: [Y],
        nodes: [
          node("Cast", ["double"], ["single"], { attributes: { to: 1 } }),
          node("Add", ["float", "single"], ["w"]),
          node("MatMul", ["x", "w"], ["y"]),
        ],
        initializers: [
          typed("float", 1, { floatData: numbers }),
          typed("double", 11, { doubleData: numbers }),
        ],
      }),
    );
    const skeleton = readSkeleton(path);
    assert.equal(skeleton.elidedByteLength, 1024 + 2048);
    const bytes = encodeTapped(skeleton.model, []);
    const feeds = { x: rampTensor([2, 16]) };
    assertSameBits(
      await runModel({ kind: "bytes", bytes, weightFolder: folder }, feeds),
      await runModel({ kind: "file", path }, feeds),
    );
  }),
);

/** Bytes that this process has read from files so far. */
function bytesRead(): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1]);
}

function lengthDelimited(number: number, byteLength: number): Uint8Array {
  return new Uint8Array([...encodeVarint(number * 8 + 2), ...encodeVarint(byteLength)]);
}

Deno.test({
  ...skippable(
    "readSkeleton() reads kilobytes of a file of five gigabytes, and refers beyond 4 GiB",
    Deno.build.os === "linux" ? undefined : "only Linux counts what a process reads",
  ),
  fn: withFolder((folder) => {
    // Two tensors of 2.5 GB each; the file is a hole but for its headers.
    const path = join(folder, "large.onnx");
    const payload = 2_500_000_000;
    const header = Uint8Array.of(0x08, 0x80, 0x94, 0xeb, 0xdc, 0x03, 0x10, 2); // [1e9] of uint8
    const raw = lengthDelimited(9, payload);
    const tensor = lengthDelimited(5, header.length + raw.length + payload);
    const each = tensor.length + header.length + raw.length + payload;
    const file = openSync(path, "w");
    let at = writeSync(file, Uint8Array.of(0x08, 0x0a), 0, 2, 0);
    const graphTag = lengthDelimited(7, 2 * each);
    at += writeSync(file, graphTag, 0, graphTag.length, at);
    const offsets: number[] = [];
    for (let count = 0; count < 2; count++) {
      const bytes = new Uint8Array([...tensor, ...header, ...raw]);
      writeSync(file, bytes, 0, bytes.length, at);
      offsets.push(at + bytes.length);
      at += each;
    }
    ftruncateSync(file, at);
    closeSync(file);
    const before = bytesRead();
    const skeleton = readSkeleton(path);
    assert.ok(bytesRead() - before < 1_000_000, `${bytesRead() - before} bytes were read`);
    assert.equal(skeleton.elidedByteLength, 2 * payload);
    assert.ok(skeleton.structureByteLength < 1000);
    assert.deepEqual(
      skeleton.model.graph?.initializer.map((held) => externalReferenceOf(held)),
      offsets.map((byteOffset) => ({ location: "large.onnx", byteOffset, byteLength: payload })),
    );
  }),
});

Deno.test(
  "a structure of over half a gigabyte is MODEL_TOO_LARGE before it is read",
  withFolder(async (folder) => {
    const path = join(folder, "model.onnx");
    const text = 600_000_000;
    const field = lengthDelimited(6, text); // a node's doc_string, all of it a hole
    const held = lengthDelimited(1, field.length + text);
    const header = [
      ...Uint8Array.of(0x08, 0x0a),
      ...lengthDelimited(7, held.length + field.length + text),
      ...held,
      ...field,
    ];
    writeFileSync(path, Uint8Array.from(header));
    truncateSync(path, header.length + text);
    await expectCode("MODEL_TOO_LARGE", () => readSkeleton(path));
  }),
);

Deno.test(
  "readSkeleton() of a link keeps the path as given and the folder of the real file",
  withFolder((folder) => {
    writeFileSync(join(folder, "blob"), modelBytes(weightsEverywhere()));
    symlinkSync("blob", join(folder, "model.onnx"));
    const skeleton = readSkeleton(join(folder, "model.onnx"));
    assert.equal(skeleton.label, "model.onnx");
    assert.ok(skeleton.origin.kind === "file");
    assert.equal(basename(skeleton.origin.path), "model.onnx");
    assert.equal(basename(skeleton.origin.realPath), "blob");
    const locations = [...walkTensors(skeleton.model)].flatMap((tensor) =>
      externalReferenceOf(tensor)?.location ?? []
    );
    assert.deepEqual(new Set(locations), new Set(["blob"]));
  }),
);
