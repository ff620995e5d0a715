// What an altered model does to the outputs of one module when the module is fed what it gets in the
// unaltered run. Built without anything of parity/: the module's nodes are cut out of both files with
// onnx-buf and run on ONNX Runtime, so that it can say whether a comparison is right.

import { toBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema } from "onnx-buf";

import type { OptimizationLevel } from "../../sessions/engine.ts";
import type { Tensor, TensorMap } from "../../tensor/tensor.ts";
import { valueInfo } from "./build_model.ts";
import { plainRun } from "./plain_run.ts";
import { decodeModel, type NodeOwner, type SubjectModel } from "./subject_models.ts";

const LEVELS: readonly OptimizationLevel[] = ["disabled", "all"];
/** Relative to the largest magnitude, and absolute: the tolerances everywhere in this project. */
const TOLERANCES: Readonly<Record<string, number>> = { float32: 1e-5, float16: 1e-2 };

const references = new WeakMap<object, Map<OptimizationLevel, TensorMap>>();

/**
 * How far the module's outputs move, over the tolerance: the smaller of what is seen without and with
 * ONNX Runtime's optimisations. Infinity where shapes or the places of NaN differ.
 *
 * @throws whatever ONNX Runtime says of an altered module that cannot run.
 */
export async function moduleEffect(
  subject: SubjectModel,
  owner: NodeOwner,
  altered: ModelProto,
): Promise<number> {
  const effects: number[] = [];
  for (const level of LEVELS) {
    const feeds = Object.fromEntries(
      owner.call.inputs.map((name) => [name, subject.values[name] as Tensor]),
    );
    const reference = await referenceOutputs(subject, owner, feeds, level);
    const outputs = await plainRun(cutModule(altered, subject, owner), feeds, level);
    effects.push(Math.max(
      ...Object.entries(reference).map(([name, tensor]) =>
        tensorRatio(tensor, outputs[name] as Tensor)
      ),
    ));
  }
  return Math.min(...effects);
}

async function referenceOutputs(
  subject: SubjectModel,
  owner: NodeOwner,
  feeds: TensorMap,
  level: OptimizationLevel,
): Promise<TensorMap> {
  const known = references.get(owner.call) ?? new Map<OptimizationLevel, TensorMap>();
  references.set(owner.call, known);
  const found = known.get(level) ??
    await plainRun(cutModule(decodeModel(subject.bytes), subject, owner), feeds, level);
  known.set(level, found);
  return found;
}

/** The module alone: every other live node is taken out, constants stay. */
export function cutModule(
  model: ModelProto,
  { structure, values }: SubjectModel,
  { call }: Pick<NodeOwner, "call">,
): Uint8Array {
  const inside = new Set(call.nodes);
  const dropped = new Set<string>();
  for (const node of structure.graph.nodes) {
    if (node.isConstant || inside.has(node.index)) continue;
    for (const value of node.outputs) dropped.add(value);
  }
  const { graph } = model;
  if (graph === undefined) throw new Error("the model has no graph");
  graph.node = graph.node.filter((node) => !node.output.some((value) => dropped.has(value)));
  graph.input = call.inputs.map((name) => valueInfo(name, (values[name] as Tensor).dtype));
  graph.output = call.outputs.map((name) => valueInfo(name, (values[name] as Tensor).dtype));
  return new Uint8Array(toBinary(ModelProtoSchema, model));
}

/** The largest difference of two tensors over the tolerance. */
export function tensorRatio(reference: Tensor, other: Tensor): number {
  if (reference.shape.join() !== other.shape.join() || reference.dtype !== other.dtype) {
    return Infinity;
  }
  const wanted = Array.from(reference.data as Float32Array, Number);
  const found = Array.from(other.data as Float32Array, Number);
  let difference = 0;
  let scale = 0;
  for (const [index, value] of wanted.entries()) {
    const one = found[index] as number;
    if (Object.is(value, one) || value === one) continue;
    if (!Number.isFinite(value) || !Number.isFinite(one)) return Infinity;
    difference = Math.max(difference, Math.abs(value - one));
  }
  for (const value of wanted) if (Number.isFinite(value)) scale = Math.max(scale, Math.abs(value));
  const tolerance = TOLERANCES[reference.dtype];
  if (tolerance === undefined) return difference === 0 ? 0 : Infinity;
  return difference / (tolerance + tolerance * scale);
}
