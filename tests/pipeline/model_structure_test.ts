// What ONNX Runtime is given to open, and that no file is opened that lies where a model may not point.

import assert from "node:assert/strict";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  NodeProtoSchema,
  SparseTensorProtoSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { loadInputs } from "../../formats/tensor_inputs.ts";
import { readSkeleton } from "../../graph/skeleton.ts";
import { ModelStructure } from "../../pipeline/model_structure.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { fixturePath } from "../support/fixture_path.ts";
import {
  externalFloats,
  floats,
  functionOf,
  modelBytes,
  type ModelParts,
  node,
  valueInfo,
} from "../support/build_model.ts";
import { assertSameBits, rampTensor, runModel } from "../support/run_model.ts";

function withFolder(action: (folder: string) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "hookline-structure-"));
    try {
      await action(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

const X = valueInfo("x", "float32", [2, 16]);
const FEEDS = { x: rampTensor([2, 16]) };
const WEIGHTS = floats("w", [16, 16]).rawData;

/** `/fc/MatMul` with a weight in a file, `/act/Relu` behind it. */
function external(
  location: string,
  entries: { offset?: string; length?: string } = {},
): ModelParts {
  return {
    inputs: [X],
    outputs: [valueInfo("y", "float32", [2, 16])],
    nodes: [
      node("MatMul", ["x", "w"], ["h"], { name: "/fc/MatMul" }),
      node("Relu", ["h"], ["y"], { name: "/act/Relu" }),
    ],
    initializers: [externalFloats("w", [16, 16], { location, ...entries })],
  };
}

const inline: ModelParts = { ...external(""), initializers: [floats("w", [16, 16])] };

/** Opens and runs whole, tapped and split; all must give what the inline model gives. */
async function assertRuns(source: string | Uint8Array, weightFolder?: string): Promise<void> {
  const expected = await runModel(modelBytes(inline), FEEDS);
  await using model = await openModel(source, {
    provider: "cpu",
    optimization: "disabled",
    ...(weightFolder === undefined ? {} : { weightFolder }),
  });
  for (const options of [{}, { tap: "fc" }, { split: "fc" }]) {
    const plan = model.plan(options);
    assertSameBits(await model.run(FEEDS, { plan }), expected);
  }
}

Deno.test(
  "a model whose weights lie in a file beside it opens and runs in every plan",
  withFolder(async (folder) => {
    mkdirSync(join(folder, "data"));
    writeFileSync(join(folder, "data", "w.bin"), WEIGHTS);
    writeFileSync(join(folder, "model.onnx"), modelBytes(external("data/w.bin")));
    await assertRuns(join(folder, "model.onnx"));
    await assertRuns(modelBytes(external("data/w.bin")), folder);
  }),
);

Deno.test("a model with its weights inline opens and runs from a file and from bytes", async () => {
  await withFolder(async (folder) => {
    writeFileSync(join(folder, "model.onnx"), modelBytes(inline));
    await assertRuns(join(folder, "model.onnx"));
    await assertRuns(modelBytes(inline));
  })();
});

/** A hub cache: the snapshot holds links, the blobs lie elsewhere under other names. */
function hubCache(folder: string, parts: ModelParts): string {
  mkdirSync(join(folder, "blobs"));
  mkdirSync(join(folder, "snapshots", "main"), { recursive: true });
  writeFileSync(join(folder, "blobs", "0a1b"), modelBytes(parts));
  writeFileSync(join(folder, "blobs", "2c3d"), WEIGHTS);
  symlinkSync("../../blobs/0a1b", join(folder, "snapshots", "main", "model.onnx"));
  symlinkSync("../../blobs/2c3d", join(folder, "snapshots", "main", "model.onnx_data"));
  return join(folder, "snapshots", "main", "model.onnx");
}

Deno.test(
  "a model in a hub cache, links all of it, opens and runs in every plan",
  withFolder(async (folder) => {
    await assertRuns(hubCache(folder, external("model.onnx_data")));
  }),
);

Deno.test(
  "a linked model with its weights inline opens and runs",
  withFolder(async (folder) => {
    await assertRuns(hubCache(folder, inline));
  }),
);

Deno.test(
  "a link to a model whose weights lie beside the real file opens and runs",
  withFolder(async (folder) => {
    mkdirSync(join(folder, "real"));
    writeFileSync(join(folder, "real", "model.onnx"), modelBytes(external("w.bin")));
    writeFileSync(join(folder, "real", "w.bin"), WEIGHTS);
    symlinkSync("real/model.onnx", join(folder, "link.onnx"));
    await assertRuns(join(folder, "link.onnx"));
  }),
);

Deno.test(
  "a skeleton of a linked model serves twice",
  withFolder(async (folder) => {
    const skeleton = readSkeleton(hubCache(folder, external("model.onnx_data")));
    for (let count = 0; count < 2; count++) {
      const { wholeSource } = new ModelStructure(skeleton);
      assert.equal(wholeSource.kind, "bytes");
      assertSameBits(
        await runModel(wholeSource, FEEDS),
        await runModel(modelBytes(inline), FEEDS),
      );
    }
  }),
);

Deno.test(
  "an untouched file is opened as the file, untouched bytes as the very bytes",
  withFolder((folder) => {
    const path = join(folder, "model.onnx");
    const bytes = modelBytes(inline);
    writeFileSync(path, bytes);
    assert.deepEqual(new ModelStructure(path).wholeSource, { kind: "file", path });
    const source = new ModelStructure(bytes).wholeSource;
    assert.ok(source.kind === "bytes" && source.bytes === bytes && source.weightFolder === null);
  }),
);

for (
  const location of [
    "../w.bin",
    "data/../../w.bin",
    "/etc/hostname",
    "C:\\w.bin",
    "..\\w.bin",
    "a\0b",
  ]
) {
  Deno.test(
    `weights at ${JSON.stringify(location)} are MODEL_EXTERNAL_OUTSIDE`,
    withFolder(async (folder) => {
      mkdirSync(join(folder, "model"));
      writeFileSync(join(folder, "w.bin"), WEIGHTS);
      writeFileSync(join(folder, "model", "model.onnx"), modelBytes(external(location)));
      await expectCode(
        "MODEL_EXTERNAL_OUTSIDE",
        () => new ModelStructure(join(folder, "model", "model.onnx")),
      );
    }),
  );
}

Deno.test(
  "weights that are a link out of the model's folder are MODEL_EXTERNAL_OUTSIDE",
  withFolder(async (folder) => {
    mkdirSync(join(folder, "model"));
    writeFileSync(join(folder, "w.bin"), WEIGHTS);
    symlinkSync("../w.bin", join(folder, "model", "w.bin"));
    writeFileSync(join(folder, "model", "model.onnx"), modelBytes(external("w.bin")));
    await expectCode(
      "MODEL_EXTERNAL_OUTSIDE",
      () => new ModelStructure(join(folder, "model", "model.onnx")),
    );
  }),
);

Deno.test(
  "a linked model whose weights are links to anywhere else is MODEL_EXTERNAL_MISSING or OUTSIDE",
  withFolder(async (folder) => {
    const path = hubCache(folder, external("secret"));
    writeFileSync(join(folder, "secret"), WEIGHTS);
    symlinkSync("../../secret", join(folder, "snapshots", "main", "secret"));
    await expectCode("MODEL_EXTERNAL_MISSING", () => new ModelStructure(path));
    symlinkSync("../secret", join(folder, "blobs", "secret"));
    await expectCode("MODEL_EXTERNAL_OUTSIDE", () => new ModelStructure(path));
  }),
);

Deno.test(
  "missing weights are MODEL_EXTERNAL_MISSING, short ones MODEL_EXTERNAL_RANGE",
  withFolder(async (folder) => {
    const path = join(folder, "model.onnx");
    writeFileSync(path, modelBytes(external("w.bin", { offset: "0", length: "1024" })));
    await expectCode("MODEL_EXTERNAL_MISSING", () => new ModelStructure(path));
    writeFileSync(join(folder, "w.bin"), WEIGHTS);
    assert.ok(new ModelStructure(path).weightFolder !== null);
    truncateSync(join(folder, "w.bin"), 1023);
    await expectCode("MODEL_EXTERNAL_RANGE", () => new ModelStructure(path));
    writeFileSync(path, modelBytes(external("w.bin", { offset: "5000" })));
    await expectCode("MODEL_EXTERNAL_RANGE", () => new ModelStructure(path));
  }),
);

Deno.test("bytes with external weights and no folder are MODEL_EXTERNAL_MISSING", async () => {
  const error = await expectCode(
    "MODEL_EXTERNAL_MISSING",
    () => new ModelStructure(modelBytes(external("w.bin"))),
  );
  assert.match(error.fix, /weightFolder/);
});

const outside = externalFloats("w", [1], { location: "../w.bin" });
const HIDDEN: Readonly<Record<string, ModelParts>> = {
  "the default of a function's attribute": {
    functions: [functionOf("f", { defaults: { value: outside } })],
  },
  "a function that nothing calls": {
    functions: [functionOf("f", {
      nodes: [node("Constant", [], ["c"], { attributes: { value: outside } })],
    })],
  },
  "a sparse initializer": { sparse: [create(SparseTensorProtoSchema, { values: outside })] },
  "a sparse Constant": {
    nodes: [create(NodeProtoSchema, {
      opType: "Constant",
      output: ["c"],
      attribute: [create(AttributeProtoSchema, {
        name: "sparse_value",
        type: AttributeType.SPARSE_TENSOR,
        sparseTensor: create(SparseTensorProtoSchema, { indices: outside }),
      })],
    })],
  },
};

for (const [where, parts] of Object.entries(HIDDEN)) {
  Deno.test(`a reference out of the folder is found in ${where}`, async () => {
    const bytes = modelBytes({ ...parts, inputs: [X] });
    const weightFolder = tmpdir();
    await expectCode("MODEL_EXTERNAL_OUTSIDE", () => new ModelStructure(bytes, { weightFolder }));
  });
}

Deno.test("a file that declares wrong sizes inside runs split as it runs whole", async () => {
  await using model = await openModel(
    modelBytes({
      ...inline,
      inputs: [valueInfo("x", "float32", ["batch", 16])],
      outputs: [valueInfo("y", "float32", ["batch", 16])],
      valueInfo: [valueInfo("h", "float32", [1, 16])], // made for a batch of one
    }),
    { provider: "cpu", optimization: "disabled" },
  );
  const whole = await model.run(FEEDS);
  assertSameBits(await model.run(FEEDS, { plan: model.plan({ split: "fc" }) }), whole);
});

Deno.test("inputs and outputs are told as the file declares them", () => {
  const sequence = create(ValueInfoProtoSchema, {
    name: "items",
    type: create(TypeProtoSchema, { value: { case: "sequenceType", value: {} } }),
  });
  const { inputs, outputs } = new ModelStructure(modelBytes({
    inputs: [valueInfo("x", "float16", ["batch", 3, null]), valueInfo("w"), sequence],
    outputs: ["untyped", valueInfo("scalar", "int64", [])],
    nodes: [node("Relu", ["x"], ["untyped"]), node("Size", ["x"], ["scalar"])],
    initializers: [floats("w", [1])],
  }));
  assert.deepEqual(inputs, [
    { name: "x", isTensor: true, dtype: "float16", shape: ["batch", 3, null] },
    { name: "items", isTensor: false, dtype: null, shape: null },
  ]);
  assert.deepEqual(outputs, [
    { name: "untyped", isTensor: true, dtype: null, shape: null },
    { name: "scalar", isTensor: true, dtype: "int64", shape: [] },
  ]);
});

Deno.test("equal bytes have equal hashes, other structures others", () => {
  const hash = (parts: ModelParts) => new ModelStructure(modelBytes(parts)).hash;
  assert.equal(hash(inline), hash(inline));
  assert.match(hash(inline), /^[0-9a-f]{64}$/);
  assert.notEqual(hash(inline), hash({ ...inline, name: "other" }));
});

Deno.test("what is inlined is what the graph, the taps and the hash stand on", async () => {
  const parts: ModelParts = {
    inputs: [X],
    outputs: [valueInfo("y", "float32", [2, 16])],
    nodes: [node("f", ["x"], ["y"], { domain: "local", name: "layer" })],
    functions: [functionOf("f", {
      inputs: ["a"],
      outputs: ["b"],
      nodes: [node("Neg", ["a"], ["t"]), node("Abs", ["t"], ["b"])],
    })],
  };
  const structure = new ModelStructure(modelBytes(parts));
  assert.deepEqual(structure.graph.nodes.map((held) => held.opType), ["Neg", "Abs"]);
  const tapped = await runModel(structure.tappedSource(["layer@0/t"]), FEEDS);
  assert.deepEqual(Object.keys(tapped).sort(), ["layer@0/t", "y"]);
});

Deno.test("what a function draws is never constant", () => {
  const structure = new ModelStructure(modelBytes({
    inputs: [X],
    outputs: ["y", "z"],
    nodes: [
      node("lib", [], ["y"], { domain: "pkg.onnxscript.torch_lib" }),
      node("Constant", [], ["z"], { attributes: { value: floats("", [1]) } }),
    ],
    functions: [functionOf("lib", {
      domain: "pkg.onnxscript.torch_lib",
      outputs: ["n"],
      nodes: [node("RandomNormal", [], ["n"], { attributes: { shape: [1] } })],
    })],
  }));
  assert.deepEqual(structure.graph.nodes.map((held) => held.isConstant), [false, true]);
});

Deno.test("a model whose file is replaced on disk is refused, not run on other weights", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hookline-"));
  const path = join(folder, "model.onnx");
  copyFileSync(fixturePath("torch", "bert", "model.onnx"), path);
  try {
    await using model = await openModel(path, { provider: "cpu" });
    const feeds = await loadInputs({ dir: fixturePath("torch", "bert") }, model.inputs);
    const before = await model.run(feeds);
    copyFileSync(fixturePath("torch", "vit", "model.onnx"), `${path}.new`);
    renameSync(`${path}.new`, path);
    assert.deepEqual(await model.run(feeds), before, "an open session goes on with what it loaded");
    const plan = model.plan({ split: "encoder.layer.*" });
    await assert.rejects(model.run(feeds, { plan }), { code: "MODEL_CHANGED" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
