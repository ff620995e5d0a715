// Reads one weight out of a model file, or of its shards joined along the dimension in which they differ
// from the whole. It reads that weight's bytes only.

import { Buffer } from "node:buffer";
import { openSkeleton, readInitializer, type Tensor } from "../../mod.ts";
import { fault, shapeText } from "./_fault.ts";
import { joinTensors } from "./tensor_axes.ts";

/** Options of {@linkcode readParameter}. */
export interface ReadParameterOptions {
  /** The whole parameter's shape, for shards; null where a shard's own size is right. */
  readonly expectedShape?: readonly (number | null)[];
}

/**
 * Reads a parameter by its initializer's name, as `GraphModule.parameters` lists it.
 *
 * @param models The model file or bytes, or those of its shards in order.
 * @throws {HooklineError} OPTION_INVALID when a model has no such parameter, or `expectedShape` does not
 * fit; HOOK_UNSUPPORTED when it differs from the shards in several dimensions; MODEL_ codes.
 *
 * @example
 * ```ts
 * import { readParameter } from "@hookline/hookline/plugins/output-edit";
 * const bias = readParameter("bert.onnx", "encoder.layer.1.output.dense.bias");
 * console.log(bias.dtype, bias.shape); // float32 [ 32 ]
 * ```
 */
export function readParameter(
  models: string | URL | Uint8Array | readonly (string | URL | Uint8Array)[],
  name: string,
  { expectedShape }: ReadParameterOptions = {},
): Tensor {
  const sources = Array.isArray(models) ? models : [models];
  const parts: Tensor[] = [];
  for (const source of sources) parts.push(readInitializer(openSkeleton(source), name));
  const [first] = parts;
  if (first === undefined) throw new TypeError("no model was given");
  if (expectedShape === undefined) return parts.length === 1 ? first : same(parts, name);
  const { shape } = first;
  const axes = expectedShape.flatMap((size, axis) =>
    size === null || size === shape[axis] ? [] : [axis]
  );
  if (expectedShape.length !== shape.length || axes.length > 1) {
    throw fault(axes.length > 1 ? "HOOK_UNSUPPORTED" : "OPTION_INVALID", {
      message: `cannot read parameter "${name}" as ${shapeText(expectedShape)}: its shards are ${
        shapeText(shape)
      }`,
      fix: "expect the same number of dimensions, and another size in one of them",
      details: { parameter: name },
    });
  }
  const whole = axes[0] === undefined ? same(parts, name) : joinTensors(parts, axes[0]);
  if (expectedShape.every((size, axis) => size === null || size === whole.shape[axis])) {
    return whole;
  }
  throw fault("OPTION_INVALID", {
    message: `cannot read parameter "${name}" as ${
      shapeText(expectedShape)
    }: together its shards are ${shapeText(whole.shape)}`,
    fix: "give every shard, and the whole parameter's shape",
    details: { parameter: name },
  });
}

/** Shards that hold the whole parameter each: they must hold the same. */
function same(parts: readonly Tensor[], name: string): Tensor {
  const [first, ...rest] = parts as readonly [Tensor, ...Tensor[]];
  const bytes = bytesOf(first);
  for (const part of rest) {
    if (shapeText(part.shape) === shapeText(first.shape) && bytesOf(part).equals(bytes)) continue;
    throw fault("OPTION_INVALID", {
      message: `cannot read parameter "${name}": its shards differ`,
      fix: "give expectedShape, so that they can be joined",
      details: { parameter: name },
    });
  }
  return first;
}

function bytesOf({ data }: Tensor): Buffer {
  return ArrayBuffer.isView(data)
    ? Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    : Buffer.from(data.join("\0"));
}
