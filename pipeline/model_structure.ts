// A model as the pipeline sees it before anything is opened: its skeleton with functions inlined, its
// graph, its modules, its declared inputs and outputs, and what ONNX Runtime is given to open the whole
// of it. Invariant: every file that ONNX Runtime will open has been resolved, contained and found
// readable here, because native code does not ask Deno for permission.

import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type ValueInfoProto,
} from "onnx-buf";
import { HooklineError } from "../errors/hookline_error.ts";
import { fileFingerprint } from "../graph/file_fingerprint.ts";
import type { FunctionFrame } from "../graph/function_frame.ts";
import type { ModuleTree } from "../graph/graph_module.ts";
import { inlineFunctions } from "../graph/inline_functions.ts";
import { ModelGraph } from "../graph/model_graph.ts";
import { moduleTree } from "../graph/module_tree.ts";
import { randomFunctions } from "../graph/random_functions.ts";
import {
  type DecodedSkeleton,
  decodedSkeleton,
  externalReferenceOf,
  readSkeleton,
  type Skeleton,
} from "../graph/skeleton.ts";
import { encodeProbe, encodeTapped, encodeWeightlessProbe } from "../graph/sub_model.ts";
import type { ModuleBoundary } from "../graph/user_boundaries.ts";
import { walkTensors } from "../graph/walk_tensors.ts";
import type { SessionSource, ValueSpec } from "../sessions/engine.ts";
import { resolveWeightFiles, type WeightReference } from "../sessions/weight_file_guard.ts";
import { dtypeFromOnnx } from "../tensor/dtype.ts";

/** Where a model comes from: a path, a `file:` URL, its bytes, or a skeleton read before. */
export type ModelSource = string | URL | Uint8Array | Skeleton;

/** Modules that a user names by their boundary values, by path. */
export type ModuleBoundaries = Readonly<Record<string, ModuleBoundary>>;

/** How to read a model's structure. */
export interface StructureOptions {
  /** The folder of external weight files, for a model given as bytes. */
  readonly weightFolder?: string;
  /** Modules that the user names by their boundary values. */
  readonly boundaries?: ModuleBoundaries;
}

/** A model before anything is opened. */
export class ModelStructure {
  readonly skeleton: DecodedSkeleton;
  /** The skeleton's model, module functions inlined. */
  readonly proto: ModelProto;
  readonly graph: ModelGraph;
  /** Absolute folder that external weights resolve against, or null. */
  readonly weightFolder: string | null;
  readonly inputs: readonly ValueSpec[];
  readonly outputs: readonly ValueSpec[];
  readonly #frames: ReadonlyMap<NodeProto, readonly FunctionFrame[]>;
  readonly #boundaries: ModuleBoundaries | undefined;
  readonly #isLinked: boolean;
  readonly #fingerprints: ReadonlyMap<string, string>;
  #tree: ModuleTree | undefined;
  #hash: string | undefined;

  /**
   * Reads and checks the structure.
   *
   * @throws {HooklineError} any MODEL_ code.
   */
  constructor(source: ModelSource, options: StructureOptions = {}) {
    this.skeleton = isSkeleton(source) ? decodedSkeleton(source) : readSkeleton(source, options);
    const { model, frames } = inlineFunctions(this.skeleton.model);
    this.proto = model;
    this.#frames = frames;
    this.#boundaries = options.boundaries;
    this.graph = new ModelGraph(model.graph as GraphProto, {
      label: this.skeleton.label,
      randomOperators: randomFunctions(model),
    });
    this.#isLinked = relinkWeights(this.skeleton);
    const { folder, fingerprints } = guardWeights(this.skeleton);
    this.weightFolder = folder;
    this.#fingerprints = fingerprints;
    this.inputs = this.graph.inputs.map((name) => specOf(name, this.graph.declaredType(name)));
    this.outputs = this.graph.outputs.map((name) => specOf(name, this.graph.declaredType(name)));
  }

  /** The modules, found on first use. */
  get tree(): ModuleTree {
    return this.#tree ??= moduleTree(this.graph, {
      model: this.proto,
      frames: this.#frames,
      ...(this.#boundaries === undefined ? {} : { boundaries: this.#boundaries }),
    });
  }

  /** sha256 of the structure, weights and their places excluded from neither: equal files, equal hash. */
  get hash(): string {
    return this.#hash ??= createHash("sha256").update(
      toBinary(ModelProtoSchema, this.skeleton.model),
    ).digest("hex");
  }

  /**
   * Makes sure that the model's files are those that were read; call it before a session is opened.
   *
   * @throws {HooklineError} MODEL_CHANGED when one was replaced, rewritten or removed.
   */
  requireUnchanged(): void {
    for (const [path, fingerprint] of this.#fingerprints) {
      if (fileFingerprint(path) === fingerprint) continue;
      throw new HooklineError("MODEL_CHANGED", {
        message:
          `cannot go on with "${this.skeleton.label}": "${path}" changed on disk after the model was opened`,
        fix:
          "open the model again; replace model files by renaming a new one, never by writing into them",
        details: { path },
      });
    }
  }

  /** Real paths of every file of the model, weight files included; none for a model without files. */
  get files(): Iterable<string> {
    return this.#fingerprints.keys();
  }

  /** What the whole plan opens: the very file or bytes that the user gave. */
  get wholeSource(): SessionSource {
    const { origin } = this.skeleton;
    if (origin.kind === "bytes") {
      return { kind: "bytes", bytes: origin.bytes, weightFolder: this.weightFolder };
    }
    // A linked file's external weights lie beside the link, or beside its target under other names;
    // ONNX Runtime refuses both, the skeleton names the real files.
    if (this.#isLinked) return this.tappedSource([]);
    return { kind: "file", path: origin.path };
  }

  /** The whole model with further outputs, to learn their types; see {@linkcode encodeProbe}. */
  probeSource(values: readonly string[]): SessionSource {
    return {
      kind: "bytes",
      bytes: encodeProbe(this.proto, values),
      weightFolder: this.weightFolder,
    };
  }

  /** The same without the weights that lie in files; see {@linkcode encodeWeightlessProbe}. */
  weightlessProbeSource(values: readonly string[]): SessionSource {
    return {
      kind: "bytes",
      bytes: encodeWeightlessProbe(this.proto, values),
      weightFolder: this.weightFolder,
    };
  }

  /** The whole model with further outputs. */
  tappedSource(taps: readonly string[]): SessionSource {
    return {
      kind: "bytes",
      bytes: encodeTapped(this.proto, taps),
      weightFolder: this.weightFolder,
    };
  }
}

function isSkeleton(source: ModelSource): source is Skeleton {
  return typeof source === "object" && source !== null && !(source instanceof URL) &&
    !ArrayBuffer.isView(source) && !((source as object) instanceof ArrayBuffer);
}

/**
 * For a model reached through a symbolic link (as hub caches keep them): names external weight files
 * by where they really lie, when that is beside the real model file. Returns whether the model has such
 * files; the inlined model shares the entries that are changed here.
 */
function relinkWeights(skeleton: DecodedSkeleton): boolean {
  const { origin, model } = skeleton;
  if (origin.kind === "bytes" || origin.path === origin.realPath) return false;
  const givenFolder = dirname(origin.path);
  const realFolder = dirname(origin.realPath);
  if (givenFolder === realFolder) return false;
  const own = basename(origin.realPath);
  let isLinked = false;
  for (const tensor of walkTensors(model)) {
    const reference = externalReferenceOf(tensor);
    if (reference === null || reference.location === own) continue;
    isLinked = true; // also when another structure over the same skeleton has renamed it already
    let realPath: string;
    try {
      realPath = realpathSync(join(givenFolder, reference.location));
    } catch {
      continue; // the weight guard names what is missing
    }
    if (dirname(realPath) !== realFolder || reference.location === basename(realPath)) continue;
    for (const entry of tensor.externalData) {
      if (entry.key === "location") entry.value = basename(realPath);
    }
  }
  return isLinked;
}

/** What ONNX Runtime may open of a model. */
interface GuardedFiles {
  /** Absolute folder of the weights, or null when there are none outside the model's bytes. */
  readonly folder: string | null;
  /** Real paths with what the files looked like. */
  readonly fingerprints: ReadonlyMap<string, string>;
}

/** Looks at the whole file's references: ONNX Runtime may be given the file, not what was inlined. */
function guardWeights(skeleton: DecodedSkeleton): GuardedFiles {
  const fingerprints = new Map<string, string>();
  const { origin } = skeleton;
  if (origin.kind === "file") fingerprints.set(origin.realPath, origin.fingerprint);
  const references: WeightReference[] = [];
  for (const tensor of walkTensors(skeleton.model)) {
    const reference = externalReferenceOf(tensor);
    if (reference !== null) references.push(reference);
  }
  if (references.length === 0) return { folder: null, fingerprints };
  if (skeleton.weightFolder === null) {
    const location = references[0]?.location ?? "";
    throw new HooklineError("MODEL_EXTERNAL_MISSING", {
      message:
        `cannot open a model from bytes: its weights lie in "${location}" and no folder was given`,
      fix: "pass { weightFolder } with the folder of that file, or open the model by its path",
      details: { location },
    });
  }
  const { folder, files } = resolveWeightFiles(skeleton.weightFolder, references);
  for (const { path } of files) {
    if (!fingerprints.has(path)) fingerprints.set(path, fileFingerprint(path));
  }
  return { folder, fingerprints };
}

function specOf(name: string, declared: ValueInfoProto | undefined): ValueSpec {
  const type = declared?.type?.value;
  if (type?.case !== "tensorType") {
    return {
      name,
      isTensor: type === undefined || type.case === undefined,
      dtype: null,
      shape: null,
    };
  }
  const dtype = dtypeFromOnnx(type.value.elemType)?.dtype ?? null;
  const shape = type.value.shape?.dim.map((dim) =>
    dim.value.case === "dimValue"
      ? Number(dim.value.value)
      : dim.value.case === "dimParam"
      ? dim.value.value || null
      : null
  );
  return { name, isTensor: true, dtype, shape: shape ?? null };
}
