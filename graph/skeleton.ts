// A skeleton is a model's structure with the knowledge of where its weights lie. It is what every
// later stage works on: modules are found in it, sub-models are cut from it. It never holds a large
// weight. Invariant: every tensor in it is either small and inline, or a reference with offset and
// length into the model's own file or an external one, or (for a model given as bytes) a view of those
// bytes.

import { realpathSync } from "node:fs";
import { basename, dirname } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema, type TensorProto } from "onnx-buf";
import { HooklineError } from "../errors/hookline_error.ts";
import { requireOptions } from "../errors/option_names.ts";
import { fileFingerprint } from "./file_fingerprint.ts";
import { fileSource, memorySource } from "./byte_source.ts";
import { givenFolder, modelPath, notAModel } from "./model_source.ts";
import { GRAPH_DEPTH_MAX, SELF_LOCATION, skimModel, tooDeepError } from "./skim.ts";
import { walkTensors } from "./walk_tensors.ts";
import { checkWireTypes } from "./wire_schema.ts";

/** Where a model came from. `path` is absolute and as given, `realPath` follows symbolic links. */
export type SkeletonOrigin =
  | {
    readonly kind: "file";
    readonly path: string;
    readonly realPath: string;
    /** What the file looked like when it was read. */
    readonly fingerprint: string;
  }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array };

/** A model's structure without its weights. */
export interface Skeleton {
  /** What to call the model in messages. */
  readonly label: string;
  /** Where the model's own bytes lie. */
  readonly origin: SkeletonOrigin;
  /** The folder that external weight files are relative to, absolute; null for bytes without one. */
  readonly weightFolder: string | null;
  /** Bytes of the whole model file. */
  readonly fileByteLength: number;
  /** Bytes of weights that the skeleton refers to in the model's own bytes. */
  readonly elidedByteLength: number;
  /** Bytes of the structure that was read. */
  readonly structureByteLength: number;
}

/** A skeleton as this folder and the pipeline work on it; to users its insides are opaque. */
export interface DecodedSkeleton extends Skeleton {
  /** Decoded ModelProto of the skeleton; treat as read-only. */
  readonly model: ModelProto;
}

/** Where a tensor's elements lie outside the skeleton. */
export interface ExternalReference {
  /** A path relative to the weight folder. */
  readonly location: string;
  /** Where its elements begin in the file. */
  readonly byteOffset: number;
  /** Null when the model does not say: then to the end of the file, as ONNX has it. */
  readonly byteLength: number | null;
}

/** Options of {@linkcode openSkeleton}. */
export interface ReadSkeletonOptions {
  /** The folder that holds external weight files, for a model given as bytes. */
  readonly weightFolder?: string;
}

/** What {@linkcode readSkeleton} made: nothing else is taken for a skeleton. */
const MADE = new WeakSet<object>();

function made(skeleton: DecodedSkeleton): DecodedSkeleton {
  MADE.add(skeleton);
  return Object.freeze(skeleton);
}

/**
 * Reads the skeleton of a model from a path, a `file:` URL, or bytes. Weights are not read.
 *
 * @throws {HooklineError} MODEL_NOT_FOUND, MODEL_READ_DENIED, MODEL_NOT_ONNX, MODEL_TRUNCATED,
 * MODEL_MALFORMED, MODEL_EMPTY, MODEL_TOO_DEEP or MODEL_TOO_LARGE; OPTION_INVALID for what is no model.
 */
export function readSkeleton(
  model: string | URL | Uint8Array,
  options: ReadSkeletonOptions = {},
): DecodedSkeleton {
  if (model instanceof Uint8Array) {
    using source = memorySource(model);
    const skim = skimModel(source);
    const decoded = decode(skim.bytes, "bytes");
    resolveSelfReferences(decoded, { kind: "bytes", bytes: model });
    return made({
      label: "bytes",
      origin: { kind: "bytes" as const, bytes: model },
      weightFolder: givenFolder(options.weightFolder),
      fileByteLength: model.byteLength,
      elidedByteLength: skim.elidedByteLength,
      structureByteLength: skim.bytes.byteLength,
      model: decoded,
    });
  }
  const path = modelPath(model);
  using source = fileSource(path);
  const realPath = realpathSync(path);
  const origin = { kind: "file" as const, path, realPath, fingerprint: fileFingerprint(realPath) };
  const skim = skimModel(source);
  const decoded = decode(skim.bytes, path);
  resolveSelfReferences(decoded, origin);
  return made({
    label: basename(path),
    origin,
    weightFolder: dirname(origin.realPath),
    fileByteLength: source.byteLength,
    elidedByteLength: skim.elidedByteLength,
    structureByteLength: skim.bytes.byteLength,
    model: decoded,
  });
}

/**
 * Reads a model's structure for several uses: `openModel` takes it instead of a path, and then reads
 * nothing again. Weights are not read.
 *
 * @throws {HooklineError} MODEL_NOT_FOUND, MODEL_READ_DENIED, MODEL_NOT_ONNX, MODEL_TRUNCATED,
 * MODEL_MALFORMED, MODEL_EMPTY, MODEL_TOO_DEEP or MODEL_TOO_LARGE; OPTION_INVALID for what is no model.
 *
 * @example
 * ```ts
 * import { openModel, openSkeleton } from "@hookline/hookline";
 * const skeleton = openSkeleton("bert.onnx");
 * await using model = await openModel(skeleton);
 * console.log(skeleton.structureByteLength < skeleton.fileByteLength, model.label); // true bert.onnx
 * ```
 */
export function openSkeleton(
  model: string | URL | Uint8Array,
  options: ReadSkeletonOptions = {},
): Skeleton {
  requireOptions("open a skeleton", options, ["weightFolder"]);
  return readSkeleton(model, options);
}

/**
 * The insides of a skeleton.
 *
 * @throws {HooklineError} OPTION_INVALID for an object that {@linkcode openSkeleton} did not make.
 */
export function decodedSkeleton(skeleton: Skeleton): DecodedSkeleton {
  if (MADE.has(skeleton)) return skeleton as DecodedSkeleton;
  throw notAModel(skeleton);
}

// References into the model itself get the file's own name (ONNX Runtime opens it from the weight
// folder; a symbolic link would be refused, so it is the real file's name), or become views of the
// bytes that the model was given as.
function resolveSelfReferences(model: ModelProto, origin: SkeletonOrigin): void {
  for (const tensor of walkTensors(model)) {
    const reference = externalReferenceOf(tensor);
    if (reference === null || reference.location !== SELF_LOCATION) continue;
    if (origin.kind === "file") {
      for (const entry of tensor.externalData) {
        if (entry.key === "location") entry.value = basename(origin.realPath);
      }
      continue;
    }
    const { byteOffset, byteLength } = reference;
    tensor.rawData = origin.bytes.subarray(
      byteOffset,
      byteOffset + (byteLength ?? 0),
    ) as typeof tensor.rawData;
    tensor.dataLocation = 0;
    tensor.externalData = [];
  }
}

/** Messages within messages: three for each graph (node, attribute, graph), and what a graph holds. */
const MESSAGE_DEPTH_MAX = 3 * GRAPH_DEPTH_MAX + 16;

function decode(bytes: Uint8Array, label: string): ModelProto {
  checkWireTypes(bytes, {
    schema: ModelProtoSchema,
    depthMax: MESSAGE_DEPTH_MAX,
    label,
    tooDeep: () => tooDeepError(label),
  });
  let model: ModelProto;
  try {
    model = fromBinary(ModelProtoSchema, bytes, { recursionLimit: MESSAGE_DEPTH_MAX });
  } catch (cause) {
    throw new HooklineError("MODEL_MALFORMED", {
      message: `cannot read "${label}": ${cause instanceof Error ? cause.message : String(cause)}`,
      fix: "copy, download or export the file again; it is damaged",
      details: { path: label },
      cause,
    });
  }
  if (model.graph === undefined) {
    throw new HooklineError("MODEL_EMPTY", {
      message: `cannot read "${label}": the ModelProto holds no graph`,
      fix: "give a complete ONNX model",
      details: { path: label },
    });
  }
  return model;
}

/**
 * Where a tensor's elements lie outside the skeleton, or null when they are inline.
 *
 * @throws {HooklineError} MODEL_MALFORMED when the reference has no location or impossible numbers.
 */
export function externalReferenceOf(tensor: TensorProto): ExternalReference | null {
  if (tensor.dataLocation !== 1) return null;
  let location: string | null = null;
  let byteOffset = 0;
  let byteLength: number | null = null;
  for (const entry of tensor.externalData) {
    if (entry.key === "location") location = entry.value;
    else if (entry.key === "offset") byteOffset = countOf(tensor, "offset", entry.value);
    else if (entry.key === "length") byteLength = countOf(tensor, "length", entry.value);
  }
  if (location === null || location === "") {
    throw referenceError(tensor, "names no location");
  }
  if (location.includes("\ufffd")) throw referenceError(tensor, "names a location that is no text");
  return { location, byteOffset, byteLength };
}

function countOf(tensor: TensorProto, key: string, text: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value)) {
    throw referenceError(tensor, `has the ${key} "${text.slice(0, 40)}"`);
  }
  return value;
}

function referenceError(tensor: TensorProto, what: string): HooklineError {
  return new HooklineError("MODEL_MALFORMED", {
    message: `cannot use the external data of tensor "${tensor.name}": it ${what}`,
    fix: "save the model again with complete external data entries",
    details: { tensor: tensor.name },
  });
}
