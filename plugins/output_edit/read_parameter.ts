// Reads one weight out of a model file, or of its shards joined along the dimension in which they differ
// from the whole. It reads that weight's bytes only.

import { Buffer } from "node:buffer";
import { open, realpath } from "node:fs/promises";
import { join } from "node:path";
import { type DType, elementCount, readSkeleton, type Skeleton, type Tensor } from "../../mod.ts";
import { fault, shapeText } from "./_fault.ts";
import { pathInside, tensorFromBytes } from "./edits/stored_tensors.ts";
import { joinTensors } from "./tensor_axes.ts";

type Initializer = NonNullable<Skeleton["model"]["graph"]>["initializer"][number];

/** Options of {@linkcode readParameter}. */
export interface ReadParameterOptions {
  /** The whole parameter's shape, for shards; null where a shard's own size is right. */
  readonly expectedShape?: readonly (number | null)[];
}

/** `TensorProto.DataType` numbers of the types with an array of their own. Source: onnx.proto, 1.20. */
const DTYPES: Readonly<Record<number, DType>> = {
  1: "float32",
  2: "uint8",
  3: "int8",
  4: "uint16",
  5: "int16",
  6: "int32",
  7: "int64",
  9: "bool",
  10: "float16",
  11: "float64",
  12: "uint32",
  13: "uint64",
  16: "bfloat16",
};

/**
 * Reads a parameter by its initializer's name, as `GraphModule.parameters` lists it.
 *
 * @param models The model file or bytes, or those of its shards in order.
 * @throws {HooklineError} OPTION_INVALID when a model has no such parameter, or `expectedShape` does not
 * fit; HOOK_UNSUPPORTED when it differs from the shards in several dimensions; MODEL_ codes; FILE_READ.
 *
 * @example
 * ```ts
 * import { readParameter } from "@hookline/hookline/plugins/output-edit";
 * const bias = await readParameter("bert.onnx", "encoder.layer.1.output.dense.bias");
 * console.log(bias.dtype, bias.shape); // float32 [ 32 ]
 * ```
 */
export async function readParameter(
  models: string | URL | Uint8Array | readonly (string | URL | Uint8Array)[],
  name: string,
  { expectedShape }: ReadParameterOptions = {},
): Promise<Tensor> {
  const sources = Array.isArray(models) ? models : [models];
  const parts: Tensor[] = [];
  for (const source of sources) parts.push(await readOne(readSkeleton(source), name));
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

async function readOne(skeleton: Skeleton, name: string): Promise<Tensor> {
  const found = skeleton.model.graph?.initializer.find((one) => one.name === name);
  const dtype = found === undefined ? undefined : DTYPES[found.dataType];
  if (found === undefined || dtype === undefined) {
    throw fault("OPTION_INVALID", {
      message: found === undefined
        ? `cannot read parameter "${name}": "${skeleton.label}" has no such initializer`
        : `cannot read parameter "${name}": its element type ${found.dataType} has no array`,
      fix: "take a name from a module's parameters; `hookline inspect --json` lists them",
      details: { parameter: name, model: skeleton.label },
    });
  }
  const shape = found.dims.map(Number);
  const bytes = found.dataLocation === 1
    ? await readExternal(skeleton, found)
    : found.rawData.length > 0 || elementCount(shape) === 0
    ? found.rawData
    : typedBytes(found, dtype);
  return tensorFromBytes({ dtype, shape }, bytes, `parameter "${name}"`);
}

/** The elements of the typed fields that small tensors may use instead of raw bytes. */
function typedBytes(found: Initializer, dtype: DType): Uint8Array {
  const data = dtype === "float32"
    ? Float32Array.from(found.floatData)
    : dtype === "float64"
    ? Float64Array.from(found.doubleData)
    : dtype === "int64"
    ? BigInt64Array.from(found.int64Data)
    : dtype === "uint64"
    ? BigUint64Array.from(found.uint64Data)
    : dtype === "uint32"
    ? Uint32Array.from(found.uint64Data.map(Number))
    : dtype === "int32"
    ? Int32Array.from(found.int32Data)
    : dtype === "uint16" || dtype === "int16" || dtype === "float16" || dtype === "bfloat16"
    ? Uint16Array.from(found.int32Data)
    : Uint8Array.from(found.int32Data);
  return new Uint8Array(data.buffer);
}

async function readExternal(skeleton: Skeleton, found: Initializer): Promise<Uint8Array> {
  const entry = (key: string) => found.externalData.find((one) => one.key === key)?.value;
  const folder = skeleton.weightFolder ?? "";
  const path = join(folder, entry("location") ?? "");
  const byteLength = entry("length");
  try {
    // A location that leaves the folder, by "..", or a link, is not the model's to name.
    if (pathInside(await realpath(folder), await realpath(path)) === null) {
      throw new Error("it lies outside the model's folder");
    }
    await using file = await open(path, "r");
    const position = Number(entry("offset") ?? 0);
    const size = byteLength === undefined
      ? (await file.stat()).size - position
      : Number(byteLength);
    const bytes = new Uint8Array(size);
    const { bytesRead } = await file.read(bytes, { position });
    if (bytesRead !== size) throw new Error("it ends too early");
    return bytes;
  } catch (cause) {
    throw fault("FILE_READ", {
      message: `cannot read parameter "${found.name}" from "${path}": ${
        cause instanceof Error ? cause.message : String(cause)
      }`,
      fix: "check the file, and the process's read permission",
      details: { parameter: found.name, file: path },
      cause,
    });
  }
}
