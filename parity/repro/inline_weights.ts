// Makes a part of a model stand alone: every weight that it refers to is read from the model's files and
// put into it. Other files are never read, and nothing is written.

import { realpathSync } from "node:fs";
import { isAbsolute, join, relative, sep } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema, type TensorProto } from "onnx-buf";
import { HooklineError } from "../../errors/hookline_error.ts";
import { type ByteSource, fileSource } from "../../graph/byte_source.ts";
import { externalReferenceOf } from "../../graph/skeleton.ts";
import { walkTensors } from "../../graph/walk_tensors.ts";
import type { PartModel } from "../compare/part_run.ts";

/** A protobuf message holds less than 2 GiB; the rest is for the structure. */
const WEIGHT_BYTES_MAX = 2_000_000_000;

/** How to make a part stand alone. */
export interface InlineOptions {
  /** Bytes of weights that the part may have; 2 GB, what a protobuf file can hold, when left out. */
  readonly byteLimit?: number;
  /** Told of every tensor once its elements are in it; may change it. */
  readonly change?: (tensor: TensorProto) => void;
}

/** A part that needs no other file. */
export interface AloneModel {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Operators of its nodes in order, constant ones included. */
  readonly operators: readonly string[];
}

/**
 * The part with its weights in it.
 *
 * @throws {HooklineError} REPRO_TOO_LARGE when the weights take more than `byteLimit`; a MODEL_EXTERNAL_
 * code when a weight file is gone, outside the model's folder or too short; MODEL_READ_DENIED.
 */
export function inlineWeights(
  part: Pick<PartModel, "bytes" | "weightFolder">,
  options: InlineOptions = {},
): AloneModel {
  const { byteLimit = WEIGHT_BYTES_MAX, change } = options;
  const model = fromBinary(ModelProtoSchema, part.bytes);
  requireSize(model, Math.min(byteLimit, WEIGHT_BYTES_MAX));
  const files = new Map<string, ByteSource>();
  try {
    for (const tensor of walkTensors(model)) {
      const reference = externalReferenceOf(tensor);
      if (reference !== null) {
        const file = openWeights(files, part.weightFolder, reference.location);
        const byteLength = reference.byteLength ?? file.byteLength - reference.byteOffset;
        if (byteLength < 0 || reference.byteOffset + byteLength > file.byteLength) {
          throw new HooklineError("MODEL_EXTERNAL_RANGE", {
            message: `cannot read weight "${tensor.name}": "${reference.location}" ends before it`,
            fix: "fetch the weight file again: it is cut off or belongs to another model",
            details: { parameter: tensor.name, location: reference.location },
          });
        }
        tensor.rawData = file.read(reference.byteOffset, byteLength) as typeof tensor.rawData;
        tensor.dataLocation = 0;
        tensor.externalData = [];
      }
      change?.(tensor);
    }
  } finally {
    for (const file of files.values()) file[Symbol.dispose]();
  }
  return {
    bytes: toBinary(ModelProtoSchema, model) as Uint8Array<ArrayBuffer>,
    operators: model.graph?.node.map(({ opType }) => opType) ?? [],
  };
}

function requireSize(model: ModelProto, byteLimit: number): void {
  let byteLength = 0;
  for (const tensor of walkTensors(model)) {
    byteLength += externalReferenceOf(tensor)?.byteLength ?? 0;
  }
  if (byteLength <= byteLimit) return;
  throw new HooklineError("REPRO_TOO_LARGE", {
    message:
      `cannot write a part with ${byteLength} bytes of weights into one file: at most ${byteLimit} fit`,
    fix: "choose a smaller module, or raise the limit where it is below 2 GB",
    details: { byteLength, byteLimit },
  });
}

function openWeights(
  files: Map<string, ByteSource>,
  folder: string | null,
  location: string,
): ByteSource {
  const known = files.get(location);
  if (known !== undefined) return known;
  const refuse = (
    code: "MODEL_EXTERNAL_MISSING" | "MODEL_EXTERNAL_OUTSIDE",
    why: string,
  ): HooklineError =>
    new HooklineError(code, {
      message: `cannot read weights from "${location}": ${why}`,
      fix: "put the weight file into the model's folder",
      details: { location },
    });
  if (folder === null) throw refuse("MODEL_EXTERNAL_MISSING", "the model has no weight folder");
  let path: string;
  try {
    path = realpathSync(join(folder, location));
  } catch {
    throw refuse("MODEL_EXTERNAL_MISSING", "no such file");
  }
  const inside = relative(realpathSync(folder), path);
  if (inside === ".." || inside.startsWith(`..${sep}`) || isAbsolute(inside)) {
    throw refuse("MODEL_EXTERNAL_OUTSIDE", "it lies outside the model's folder");
  }
  const file = fileSource(path);
  files.set(location, file);
  return file;
}
