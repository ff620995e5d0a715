// What a trace, a capture or a report must say of where its numbers came from: which model, which plan,
// which versions, run how. It knows settings and structure and runs nothing.

import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { HooklineError } from "../errors/hookline_error.ts";
import type { Skeleton } from "../graph/skeleton.ts";
import { HOOKLINE_VERSION, runtimeVersion } from "../host/versions.ts";
import type { Engine, OptimizationLevel } from "../sessions/engine.ts";
import type { Plan, PlanKind } from "./plan.ts";

/** Where a model's numbers come from. */
export interface ModelProvenance {
  /** What the model is called: its file name, or `"bytes"`. */
  readonly model: string;
  /** sha256 of the model's structure, in hex: weights are not read. */
  readonly structureHash: string;
  /** sha256 of the whole model file, in hex; only on request, because every byte is read. */
  readonly fileSha256?: string;
  /** Hash of the plan that the hooks of this moment lead to. */
  readonly planHash: string;
  /** The kind of that plan. */
  readonly plan: PlanKind;
  /** The execution provider. */
  readonly provider: string;
  /** The engine. */
  readonly engine: Engine["name"];
  /** How far ONNX Runtime may rewrite the graph. */
  readonly optimization: OptimizationLevel;
  /** Threads that compute one operator. */
  readonly threads: number;
  /** Versions of Hookline, of ONNX Runtime, and of what runs both, such as `deno 2.9.6`. */
  readonly versions: {
    readonly hookline: string;
    readonly onnxruntime: string;
    readonly runtime: string;
  };
}

/** Options of `Model.provenance`. */
export interface ProvenanceOptions {
  /** True to hash the whole model file; default false. External weight files do not enter. */
  readonly fileHash?: boolean;
}

/** What {@linkcode provenanceOf} is made from. */
export interface ProvenanceSource {
  readonly skeleton: Skeleton;
  readonly structureHash: string;
  readonly plan: Plan;
  readonly engine: Engine;
  readonly provider: string;
  readonly optimization: OptimizationLevel;
  readonly threads: number;
}

const CHUNK_BYTES = 4_194_304;

/**
 * The provenance of a model's runs.
 *
 * @throws {HooklineError} ENGINE_UNAVAILABLE when there is no ONNX Runtime; FILE_READ when the model's
 * file is to be hashed and cannot be read.
 */
export async function provenanceOf(
  source: ProvenanceSource,
  options: ProvenanceOptions = {},
): Promise<ModelProvenance> {
  const { skeleton, plan, engine, provider, optimization, threads, structureHash } = source;
  const onnxruntime = await engine.version();
  return Object.freeze({
    model: skeleton.label,
    structureHash,
    ...(options.fileHash === true ? { fileSha256: modelFileHash(skeleton) } : {}),
    planHash: plan.hash,
    plan: plan.kind,
    provider,
    engine: engine.name,
    optimization,
    threads,
    versions: Object.freeze({
      hookline: HOOKLINE_VERSION,
      onnxruntime,
      runtime: runtimeVersion(),
    }),
  });
}

/** sha256 of a model's file or bytes, in bounded memory. */
function modelFileHash({ origin, label }: Skeleton): string {
  const hash = createHash("sha256");
  if (origin.kind === "bytes") return hash.update(origin.bytes).digest("hex");
  try {
    const handle = openSync(origin.path, "r");
    try {
      const chunk = new Uint8Array(CHUNK_BYTES);
      for (let count = readSync(handle, chunk); count > 0; count = readSync(handle, chunk)) {
        hash.update(chunk.subarray(0, count));
      }
    } finally {
      closeSync(handle);
    }
  } catch (cause) {
    throw new HooklineError("FILE_READ", {
      message: `cannot hash model "${label}": its file cannot be read any more`,
      fix: "leave the file where it was opened, or do not ask for its hash",
      details: { path: origin.path },
      cause,
    });
  }
  return hash.digest("hex");
}
