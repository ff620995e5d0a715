// Alters one node of a model: an attribute, or the element type that it computes in. What comes out
// keeps its name and dtype, so that the rest of the model stands as it was.

import { create } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from "onnx-buf";
import { node as nodeOf } from "./build_model.ts";
import type { SeededRandom } from "./seeded_random.ts";
import { alterTensor } from "./tensor_faults.ts";

/** Attributes that may be altered, by operator. A Cast's `to` belongs to the dtype faults. */
const ALTERABLE: Readonly<Record<string, readonly string[]>> = {
  Concat: ["axis"],
  ConstantOfShape: ["value"],
  Conv: ["pads", "dilations", "strides"],
  Gather: ["axis"],
  Gemm: ["alpha", "beta", "transB"],
  InstanceNormalization: ["epsilon"],
  LayerNormalization: ["epsilon", "axis"],
  Resize: ["coordinate_transformation_mode", "mode", "nearest_mode"],
  Softmax: ["axis"],
  Split: ["axis"],
  Transpose: ["perm"],
};

const MODES: Readonly<Record<string, readonly string[]>> = {
  coordinate_transformation_mode: ["asymmetric", "half_pixel", "align_corners"],
  mode: ["nearest", "linear"],
  nearest_mode: ["floor", "ceil", "round_prefer_floor"],
};

/** The names of a node's attributes that can be altered. */
export function alterableAttributes(node: NodeProto): readonly string[] {
  const names = ALTERABLE[node.opType] ?? [];
  return node.attribute.map(({ name }) => name).filter((name) => names.includes(name));
}

/** Alters an attribute in place and says how. */
export function alterAttribute(node: NodeProto, name: string, random: SeededRandom): string {
  const attribute = node.attribute.find((candidate) => candidate.name === name);
  if (attribute === undefined) throw new Error(`${node.opType} has no attribute ${name}`);
  switch (attribute.type) {
    case AttributeType.INT:
      return alterInteger(attribute, random);
    case AttributeType.FLOAT: {
      const before = attribute.f;
      attribute.f = before * (name === "epsilon" ? random.pick([1e3, 1e4]) : 1.05);
      return `${name} became ${attribute.f}, was ${before}`;
    }
    case AttributeType.INTS: {
      const before = [...attribute.ints];
      if (name === "perm" || name === "pads") exchangeTwo(attribute.ints, random);
      else attribute.ints = before.map((value) => value === 1n ? 2n : 1n);
      return `${name} became ${attribute.ints}, was ${before}`;
    }
    case AttributeType.STRING: {
      const before = new TextDecoder().decode(attribute.s);
      const after = random.pick((MODES[name] ?? []).filter((mode) => mode !== before));
      attribute.s = new TextEncoder().encode(after);
      return `${name} became ${after}, was ${before}`;
    }
    default:
      return `${name}: ${alterTensor(attribute.t as TensorProto, random)}`;
  }
}

function alterInteger(attribute: AttributeProto, random: SeededRandom): string {
  const before = attribute.i;
  attribute.i = attribute.name === "transB"
    ? 1n - before
    : random.pick([0n, 1n, 2n, -1n, -2n].filter((axis) => axis !== before));
  return `${attribute.name} became ${attribute.i}, was ${before}`;
}

function exchangeTwo(values: bigint[], random: SeededRandom): void {
  const at = random.below(values.length);
  const other = (at + 1 + random.below(values.length - 1)) % values.length;
  [values[at], values[other]] = [values[other] as bigint, values[at] as bigint];
}

/**
 * Makes a node compute in half precision, casts around it, or rounds one of its inputs to bfloat16.
 * `floats` are the names of the values that are float32.
 */
export function alterDtype(
  graph: GraphProto,
  node: NodeProto,
  floats: ReadonlySet<string>,
  random: SeededRandom,
): string {
  const slots = [...node.input.keys()].filter((slot) => floats.has(node.input[slot] as string));
  const at = graph.node.indexOf(node);
  if (random.below(2) === 0) {
    const slot = random.pick(slots);
    const [low, back] = [castOf(node, `${slot}_low`, 16), castOf(node, `${slot}_back`, 1)];
    low.input = [node.input[slot] as string];
    back.input = [low.output[0] as string];
    node.input[slot] = back.output[0] as string;
    graph.node.splice(at, 0, low, back);
    return `input ${slot} is rounded to bfloat16`;
  }
  const before = slots.map((slot) => {
    const cast = castOf(node, `${slot}_half`, 10);
    cast.input = [node.input[slot] as string];
    node.input[slot] = cast.output[0] as string;
    return cast;
  });
  const after = [...node.output.keys()].map((slot) => {
    const cast = castOf(node, `out_${slot}`, 1);
    const half = `${cast.output[0]}_half`;
    cast.output = [node.output[slot] as string];
    cast.input = [half];
    node.output[slot] = half;
    return cast;
  });
  graph.node.splice(at, 1, ...before, node, ...after);
  return "it computes in float16";
}

/** A Cast in the scope of a node, as converters name theirs. */
function castOf({ name, output }: NodeProto, suffix: string, to: number): NodeProto {
  const cast = nodeOf("Cast", [], [`${output[0]}_cast_${suffix}`], {
    name: `${name}_cast_${suffix}`,
  });
  cast.attribute = [
    create(AttributeProtoSchema, { name: "to", type: AttributeType.INT, i: BigInt(to) }),
  ];
  return cast;
}
