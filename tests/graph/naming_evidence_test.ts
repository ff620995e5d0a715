import assert from "node:assert/strict";
import type { NodeProto } from "onnx-buf";
import { create } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import type { FunctionFrame } from "../../graph/function_frame.ts";
import type { ModelGraph } from "../../graph/model_graph.ts";
import { nameNodes } from "../../graph/naming_evidence.ts";
import { node, type NodeInit } from "./_fixtures.ts";
import { graphOf } from "./_graphs.ts";

interface Named {
  readonly nodes: readonly (string | NodeInit)[];
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  readonly parameters?: readonly string[];
  readonly producer?: string;
  readonly frames?: readonly (readonly FunctionFrame[])[];
}

function naming(init: Named) {
  const graph: ModelGraph = graphOf({
    node: init.nodes.map((item) => typeof item === "string" ? node(item) : item),
    input: (init.inputs ?? ["x"]).map((name) => ({ name })),
    output: (init.outputs ?? ["y"]).map((name) => ({ name })),
    initializer: (init.parameters ?? []).map((name) => ({ name, dataType: 1, dims: [2n] })),
  });
  const frames = new Map<NodeProto, readonly FunctionFrame[]>();
  init.frames?.forEach((chain, index) => {
    const proto = graph.nodes[index]?.proto;
    if (proto !== undefined && chain.length > 0) frames.set(proto, chain);
  });
  const model = create(ModelProtoSchema, { producerName: init.producer ?? "", graph: graph.proto });
  return { graph, ...nameNodes(graph, { model, frames }) };
}

/** Paths of the live nodes in order, with what named them. */
function places(init: Named): string[] {
  const { graph, places } = naming(init);
  return graph.nodes.filter((item) => !item.isConstant).map((item) => {
    const place = places.get(item);
    return `${place?.path} ${place?.evidence}`;
  });
}

function frame(functionName: string, ...parameters: string[]): FunctionFrame {
  return {
    callName: "/misleading/name/Call",
    domain: "pkg",
    functionName,
    overload: "",
    parameters,
  };
}

function scoped(text: string, scopes: string, more: Record<string, string> = {}): NodeInit {
  return {
    ...node(text),
    metadataProps: [
      { key: "pkg.torch.onnx.name_scopes", value: scopes },
      ...Object.entries(more).map(([key, value]) => ({ key, value })),
    ],
  };
}

Deno.test("nameNodes() takes TorchScript's scopes from node names, else from output names", () => {
  assert.deepEqual(
    places({
      nodes: [
        "MatMul /enc/layer.0/fc/MatMul x w -> a",
        "Gelu BiasGelu_token_2 a -> /enc/layer.0/act/Div_output_0",
        "Add /Add /enc/layer.0/act/Div_output_0 x -> y",
      ],
      parameters: ["w"],
    }),
    ["enc.layer.0.fc nodeNames", "enc.layer.0.act valueNames", " nodeNames"],
  );
});

Deno.test("nameNodes() reads names that ONNX Runtime's fusions have changed", () => {
  assert.deepEqual(
    places({
      nodes: [
        "FusedMatMul /attn/MatMul/MatmulTransposeFusion//MatMulScaleFusion/ x x -> a",
        "FusedGemm fused a -> b",
        { ...node("Gemm - b w -> c"), name: "fused /pooler/dense/Gemm" },
        "Relu /pooler/act/Relu c -> y",
      ],
      parameters: ["w"],
    }),
    ["attn nodeNames", " null", "pooler.dense nodeNames", "pooler.act nodeNames"],
  );
});

Deno.test("nameNodes() reads the genai builder's names and outputs", () => {
  assert.deepEqual(
    places({
      producer: "onnxruntime-genai",
      nodes: [
        "Constant /model/constants/INT64/[1] -> /model/constants/INT64/[1]",
        "Sub /model/attn_mask_reformat/attn_mask_subgraph/Sub x /model/constants/INT64/[1] -> /model/attn_mask_reformat/attn_mask_subgraph/Sub/output_0",
        "MatMul /model/layers.0/attn/q_proj/MatMul x w -> /model/layers.0/attn/q_proj/MatMul/output_0",
        "Fused - /model/layers.0/attn/q_proj/MatMul/output_0 -> /model/layers.0/attn/GroupQueryAttention/output_0",
        "MatMul /lm_head/MatMul /model/layers.0/attn/GroupQueryAttention/output_0 w -> y",
      ],
      parameters: ["w", "model.layers.0.attn.q_norm.layernorm.weight"],
    }),
    [
      "model.attn_mask_reformat.attn_mask_subgraph nodeNames",
      "model.layers.0.attn.q_proj nodeNames",
      "model.layers.0.attn valueNames",
      "lm_head nodeNames",
    ],
  );
});

Deno.test("nameNodes() uses parameters that one node alone uses, through constant operators", () => {
  assert.deepEqual(
    places({
      nodes: [
        "Transpose t features.0.weight -> wt",
        "Conv Conv_0 x wt -> a",
        "Relu Relu_1 a -> b",
        "Conv Conv_2 b features.2.weight_quantized -> c",
        "LayerNormalization - c merged.norm.weight -> d",
        "LayerNormalization - d merged.norm.weight -> e",
        "Gemm Gemm_5 e onnx::Gemm_7 12.5 -> y",
      ],
      parameters: [
        "features.0.weight",
        "features.2.weight_quantized",
        "merged.norm.weight",
        "onnx::Gemm_7",
        "12.5",
      ],
    }),
    [
      "features.0 parameterNames",
      "features null",
      "features.2 parameterNames",
      " null",
      " null",
      " null",
    ],
  );
});

Deno.test("nameNodes() reads a merged parameter's Identity by its output", () => {
  assert.deepEqual(
    places({
      nodes: [
        "Identity Identity_0 a.norm.bias -> b.norm.bias",
        "Add - x a.norm.bias -> p",
        "Add - p b.norm.bias -> y",
      ],
      parameters: ["a.norm.bias"],
    }),
    ["a.norm parameterNames", "b.norm parameterNames"],
  );
});

Deno.test("nameNodes() reads TensorFlow's names without its operators' scopes", () => {
  assert.deepEqual(
    places({
      producer: "tf2onnx",
      nodes: [
        "Conv model/conv2d/Conv2D__6 x w -> a",
        "Mul model/bn/batchnorm/mul_1 a w -> b",
        "Add StatefulPartitionedCall/model/tf.math.add/Add b x -> c",
        "Gelu tf_bert/encoder/layer_._0/act/Gelu c -> d",
        "Mul first/one/Mul;model/conv1d/conv1d/Squeeze d d -> e",
        "Relu model/conv1d/Relu e -> y",
      ],
      parameters: ["w"],
    }),
    [
      "model.conv2d nodeNames",
      "model.bn nodeNames",
      "model.tf_math_add nodeNames",
      "tf_bert.encoder.layer.0.act nodeNames",
      "model.conv1d nodeNames",
      "model.conv1d nodeNames",
    ],
  );
});

Deno.test("nameNodes() distrusts TensorFlow names that nest deeper than there are nodes", () => {
  assert.deepEqual(
    places({
      producer: "tf2onnx",
      nodes: ["Add a/b/c/d/e/Add x x -> p", "Add f/g/h/i/Add p p -> y"],
    }),
    [" null", " null"],
  );
});

Deno.test("nameNodes() makes modules of Paddle's layer instances", () => {
  assert.deepEqual(
    places({
      nodes: [
        "Constant p2o.c -> conv2d_0.w_0",
        "Constant p2o.k -> p2o.helper.constant.0",
        "Conv p2o.Conv.0 x conv2d_0.w_0 -> conv2d_5.tmp_0",
        "Add p2o.Add.0 conv2d_5.tmp_0 p2o.helper.constant.0 -> p2o.Add.1",
        "Mul p2o.Mul.0 conv2d_5.tmp_0 p2o.Add.1 -> hardswish_0.tmp_0",
        "Mul p2o.Mul.2 hardswish_0.tmp_0 x -> y",
      ],
    }),
    [
      "conv2d_0 parameterNames",
      "hardswish_0 valueNames",
      "hardswish_0 valueNames",
      " null",
    ],
  );
});

Deno.test("nameNodes() prefers metadata and drops sub-graph markers and empty stacks", () => {
  const { containers, classNames, graph, places } = naming({
    nodes: [
      scoped("MatMul /wrong/MatMul x w -> a", "['', 'enc', 'enc.layer.0', 'linear']", {
        "pkg.torch.onnx.class_hierarchy": "['m.Net', 'm.Enc', 'm.Layer', 'aten.linear.default']",
      }),
      scoped("Add - a x -> b", "['', '_export_root', '_export_root.enc', 'add']"),
      scoped("Shape - b -> c", "['_empty_nn_module_stack_from_metadata_hook', 'sym_size']"),
      scoped("Relu - c -> y", `["", "enc@1", "enc.layer.1@2", "relu"]`),
    ],
    parameters: ["w"],
  });
  assert.deepEqual(
    graph.nodes.map((item) => places.get(item)?.path),
    ["enc.layer.0", "enc", "enc", "enc.layer.1"],
  );
  assert.deepEqual([...containers], ["enc.layer"]);
  assert.equal(classNames.get("enc.layer.0"), "Layer");
});

Deno.test("nameNodes() corrects a compiled region's uses by their parameters", () => {
  const region = (text: string, below: string, fx: string): NodeInit =>
    scoped(
      text,
      `['', '_export_root', '_export_root.layer.0', '_export_root.layer.0.${below}', 'op']`,
      {
        "pkg.torch.onnx.fx_node": `%${fx} : [num_users=1] = call_function`,
      },
    );
  assert.deepEqual(
    places({
      nodes: [
        region("Gemm - x layer.0.fc.weight -> a", "fc", "linear"),
        region("Relu - a -> b", "act", "relu"),
        region("Gemm - b layer.1.fc.weight -> c", "fc", "linear"),
        region("Relu - c -> y", "act", "relu"),
      ],
      parameters: ["layer.0.fc.weight", "layer.1.fc.weight"],
    }),
    ["layer.0.fc metadata", "layer.0.act metadata", "layer.1.fc metadata", "layer.1.act metadata"],
  );
});

Deno.test("nameNodes() spells paths out of dynamo_export's functions", () => {
  const layer = frame(
    "transformers_models_bert_BertLayer_encoder_layer_0_1",
    "encoder.layer.0.out_proj.dense.weight",
    "encoder.layer.0.norm.weight",
  );
  const dense = frame(
    "torch_nn_modules_linear_Linear_encoder_layer_0_out_proj_dense_1",
    "encoder.layer.0.out_proj.dense.weight",
  );
  const act = frame("torch_nn_modules_activation_GELU_encoder_layer_0_act_fn_1");
  const init: Named = {
    nodes: ["Gemm n x w -> a", "Gelu n a -> b", "Add n b x -> c", "Neg n c -> y"],
    parameters: ["w"],
    frames: [[layer, dense], [layer, act], [layer], []],
  };
  assert.deepEqual(places(init), [
    "encoder.layer.0.out_proj.dense functions",
    "encoder.layer.0.act_fn functions",
    "encoder.layer.0 functions",
    " null",
  ]);
  const { classNames, containers } = naming(init);
  assert.equal(classNames.get("encoder.layer.0"), "BertLayer");
  assert.equal(classNames.get("encoder.layer.0.act_fn"), "GELU");
  assert.ok(containers.has("encoder.layer"));
});

Deno.test("nameNodes() finds paths of misnamed function calls by their parameters", () => {
  const encoder = frame("Encoder", "encoder.layer.0.fc.bias", "encoder.layer.1.fc.bias");
  const layers = [0, 1].map((index) => frame("Layer", `encoder.layer.${index}.fc.bias`));
  const linears = [0, 1].map((index) => frame("Linear", `encoder.layer.${index}.fc.bias`));
  const gelu = frame("GELU");
  assert.deepEqual(
    places({
      nodes: [
        "Gemm - x w -> a",
        "Gelu - a -> b",
        "Add - b x -> c",
        "Gemm - c w -> d",
        "Neg - d -> y",
      ],
      parameters: ["w"],
      frames: [
        [encoder, layers[0] as FunctionFrame, linears[0] as FunctionFrame],
        [encoder, layers[0] as FunctionFrame, gelu],
        [encoder, layers[0] as FunctionFrame],
        [encoder, layers[1] as FunctionFrame, linears[1] as FunctionFrame],
        [encoder],
      ],
    }),
    [
      "encoder.layer.0.fc functions",
      "encoder.layer.0 functions",
      "encoder.layer.0 functions",
      "encoder.layer.1.fc functions",
      "encoder functions",
    ],
  );
});

Deno.test("nameNodes() places what nothing names between what it reads and what reads it", () => {
  assert.deepEqual(
    places({
      nodes: [
        "Relu /a/b/c/Relu x -> p",
        "Neg - p -> q",
        "Abs - q -> r",
        "Relu /a/b/d/Relu r -> s",
        "Neg - s -> y",
      ],
    }),
    ["a.b.c nodeNames", "a.b null", "a.b null", "a.b.d nodeNames", " null"],
  );
});

Deno.test("nameNodes() is not confused by names that are no names", () => {
  const text = `{"format": "json", "a/b": ["c.d"]}`;
  assert.deepEqual(
    places({
      nodes: [
        { ...node("Relu - x -> a"), name: `/${"a/".repeat(200)}Relu` },
        { ...node("Neg - a -> b"), name: "/" },
        { ...node("Abs - b -> c"), name: "//" },
        { ...node("Relu - c -> d"), output: [text] },
        { ...node("Neg - d -> y"), input: [text] },
      ],
    }),
    [" null", " nodeNames", " nodeNames", " null", " null"],
  );
});
