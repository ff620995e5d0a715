import assert from "node:assert/strict";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { ModelStructure } from "../../../pipeline/model_structure.ts";
import { encodeStreamedPart } from "../../../pipeline/residency/streamed_part.ts";
import { tracedResize } from "../../graph/_resize_models.ts";
import { blocksModel } from "./_blocks_model.ts";
import { streaming } from "./_streaming.ts";

Deno.test("encodeStreamedPart() gives equal blocks equal bytes, and other blocks others", async () => {
  using file = blocksModel();
  const { host, streamed } = await streaming(file.path);
  const parts = streamed.map(({ segment: { nodes, outputs }, inputs }) =>
    encodeStreamedPart(host.structure, { nodes, outputs, inputs })
  );
  const [first, second] = parts;
  assert.ok(first !== undefined && second !== undefined);
  assert.deepEqual(first.bytes, second.bytes);
  assert.deepEqual(
    first.weights.map(({ name, shape }) => [name, shape]),
    second.weights.map(({ name, shape }) => [name, shape]),
  );
  assert.notDeepEqual([...first.outputNames.keys()], [...second.outputNames.keys()]);
  assert.deepEqual([...first.outputNames.values()], [...second.outputNames.values()]);
});

Deno.test("encodeStreamedPart() feeds every weight, and keeps single numbers and integers", async () => {
  using file = blocksModel();
  const { host, streamed: [only] } = await streaming(file.path);
  assert.ok(only !== undefined);
  const { nodes, outputs } = only.segment;
  const part = encodeStreamedPart(host.structure, { nodes, outputs, inputs: only.inputs });
  assert.equal(part.weights.length, 16);
  const { graph } = fromBinary(ModelProtoSchema, part.bytes);
  const isLarge = graph?.initializer.some((tensor) =>
    tensor.dataType === 1 && tensor.dims.reduce((count, size) => count * size, 1n) > 1n
  );
  assert.equal(isLarge, false);
  const constants = graph?.node.filter((node) => node.opType === "Constant") ?? [];
  assert.ok(constants.length > 0);
  assert.ok(graph?.node.every((node) => node.name === ""));
});

Deno.test("encodeStreamedPart() declares what it computes under the part's own name", () => {
  const structure = new ModelStructure(tracedResize());
  const part = encodeStreamedPart(structure, {
    nodes: [5, 6],
    inputs: new Map([
      ["c", { dtype: "float32", shape: [1, 3, 8, 8] }],
      ["shape_c", { dtype: "int64", shape: [4] }],
      ["end", { dtype: "int64", shape: [1] }],
      ["sizes", { dtype: "int64", shape: [4] }],
    ]),
    outputs: ["y"],
  });
  const { graph } = fromBinary(ModelProtoSchema, part.bytes);
  const sizes = graph?.node.find(({ opType }) => opType === "Resize")?.input[3];
  assert.deepEqual(graph?.valueInfo.map(({ name }) => name), [sizes]);
  assert.equal(graph?.input.length, 3);
});
