// Reads one weight of a model, and no other byte: the way for a caller that needs a single tensor of a
// model that may be larger than memory.

import { realpathSync } from "node:fs";
import { isAbsolute, join, relative, sep } from "node:path";
import { type TensorProto, TensorProtoSchema } from "onnx-buf";
import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { fileSource } from "./byte_source.ts";
import { copyMessage } from "./copy_message.ts";
import {
  decodedSkeleton,
  type ExternalReference,
  externalReferenceOf,
  type Skeleton,
} from "./skeleton.ts";
import { decodeTensorProto } from "./tensor_proto.ts";

/**
 * The value of an initializer, as a copy.
 *
 * Shape and dtype are those that the model declares.
 *
 * @throws {HooklineError} OPTION_INVALID for a name that the model does not have, with the nearest ones;
 * MODEL_EXTERNAL_MISSING, MODEL_EXTERNAL_OUTSIDE or MODEL_EXTERNAL_RANGE when its file is not there,
 * not the model's, or too short; MODEL_READ_DENIED; TENSOR_DTYPE for a type without a JavaScript array.
 *
 * @example
 * ```ts
 * import { openSkeleton, readInitializer } from "@hookline/hookline";
 * const weight = readInitializer(openSkeleton("bert.onnx"), "pooler.dense.bias");
 * console.log(weight.dtype, weight.shape); // float32 [ 32 ]
 * ```
 */
export function readInitializer(skeleton: Skeleton, name: string): Tensor {
  const initializers = decodedSkeleton(skeleton).model.graph?.initializer ?? [];
  const found = initializers.find((tensor) => tensor.name === name);
  if (found === undefined) {
    const nearest = nearestNames(name, initializers.map((tensor) => tensor.name));
    throw new HooklineError("OPTION_INVALID", {
      message: `cannot read parameter "${name}": "${skeleton.label}" has no such initializer`,
      fix: nearest.length > 0
        ? `did you mean ${nearest.map((near) => `"${near}"`).join(" or ")}?`
        : "take a name from a module's parameters; `hookline inspect --json` lists them",
      details: { parameter: name, model: skeleton.label, nearest },
    });
  }
  const reference = externalReferenceOf(found);
  if (reference === null) return decodeTensorProto(found);
  const rawData = readReference(skeleton, found, reference) as typeof found.rawData;
  return decodeTensorProto(
    copyMessage(TensorProtoSchema, found, { rawData, dataLocation: 0, externalData: [] }),
  );
}

function readReference(
  skeleton: Skeleton,
  tensor: TensorProto,
  reference: ExternalReference,
): Uint8Array {
  const folder = skeleton.weightFolder;
  const failure = (
    code: "MODEL_EXTERNAL_MISSING" | "MODEL_EXTERNAL_OUTSIDE" | "MODEL_EXTERNAL_RANGE",
    why: string,
    fix: string,
  ): HooklineError =>
    new HooklineError(code, {
      message: `cannot read parameter "${tensor.name}" from "${reference.location}": ${why}`,
      fix,
      details: { parameter: tensor.name, location: reference.location },
    });
  if (folder === null) {
    throw failure("MODEL_EXTERNAL_MISSING", "no folder was given", "pass { weightFolder }");
  }
  let path: string;
  try {
    path = realpathSync(join(folder, reference.location));
  } catch {
    throw failure("MODEL_EXTERNAL_MISSING", "no such file", "put the weight file beside the model");
  }
  const inside = relative(realpathSync(folder), path);
  if (inside === ".." || inside.startsWith(`..${sep}`) || isAbsolute(inside)) {
    throw failure(
      "MODEL_EXTERNAL_OUTSIDE",
      "it lies outside the model's folder",
      "copy the file into the model's folder",
    );
  }
  using source = fileSource(path);
  const byteLength = reference.byteLength ?? source.byteLength - reference.byteOffset;
  if (byteLength < 0 || reference.byteOffset + byteLength > source.byteLength) {
    throw failure(
      "MODEL_EXTERNAL_RANGE",
      `bytes ${reference.byteOffset} to ${
        reference.byteOffset + byteLength
      } were asked for, the file has ${source.byteLength}`,
      "fetch the weight file again: it is cut off or belongs to another model",
    );
  }
  return source.read(reference.byteOffset, byteLength);
}
