// The session options that Hookline lets ONNX Runtime see: a closed, typed list. ONNX Runtime accepts
// unknown keys without a word and some known ones write files or run code, so nothing reaches it that
// is not spelled here. Knows no session and loads nothing.

import { isAbsolute } from "node:path";
import { HooklineError } from "../errors/hookline_error.ts";
import type { OptimizationLevel, SessionSettings } from "./engine.ts";
import { isProviderName, providerDescriptor } from "./provider.ts";
import type { ExecutionProvider } from "./providers/descriptor.ts";

/** The session configuration entries in use; ONNX Runtime wants every leaf to be a string. */
export interface OrtSessionEntries {
  /** Pools sleep between operators instead of burning a core for each open session. */
  readonly intra_op: {
    /** Always off. */
    readonly allow_spinning: "0";
  };
  /** Present when weights are to stay as the file has them. */
  readonly disable_prepacking?: "1";
  /** Present when activations come from the process's shared arena, where there is one. */
  readonly use_env_allocators?: "1";
  /** Present when the optimized model is written: the file for its weights, beside it. */
  readonly optimized_model_external_initializers_file_name?: string;
  /** Weights of fewer bytes stay in the model file. */
  readonly optimized_model_external_initializers_min_size_in_bytes?: string;
  /** Weights are written as they were prepacked. */
  readonly save_external_prepacked_constant_initializers?: "1";
  /** The only folder in which external weights of a model given as bytes are looked for. */
  readonly model_external_initializers_file_folder_path?: string;
}

/** The options of `InferenceSession.create` in use. */
export interface OrtSessionOptions {
  /** Exactly one provider: a list would be a silent fallback. */
  readonly executionProviders: readonly ExecutionProvider[];
  /** How far the graph may be rewritten. */
  readonly graphOptimizationLevel: OptimizationLevel;
  /** Threads within one operator. */
  readonly intraOpNumThreads: number;
  /** Always 1: operators run one after another. */
  readonly interOpNumThreads: 1;
  /** Present when the session is to have no memory arena of its own. */
  readonly enableCpuMemArena?: false;
  /** Present when the optimized model is written: where to. */
  readonly optimizedModelFilePath?: string;
  /** Always 3: errors alone. */
  readonly logSeverityLevel: 3;
  /** The session's label, which ONNX Runtime prints with its errors. */
  readonly logId: string;
  /** Session configuration entries. */
  readonly extra: {
    /** The entries under `session.` */
    readonly session: OrtSessionEntries;
  };
}

/**
 * Where a model given as bytes without a weight folder looks for external weights: nowhere. Left out,
 * ONNX Runtime would take them from the working directory, past Deno's read permission. Verified on
 * ONNX Runtime 1.29.
 */
export const NO_WEIGHT_FOLDER = "/hookline-has-no-weight-folder-for-this-model";

const LEVELS: readonly string[] = [
  "disabled",
  "basic",
  "extended",
  "layout",
  "all",
];

function invalid(option: string, found: string, fix: string): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot open a session: ${option} is ${found}`,
    fix,
    details: { option },
  });
}

/**
 * The options that ONNX Runtime gets for a session. Pure: same arguments, same result.
 *
 * @param settings The session's settings.
 * @param weightFolder Absolute folder of the external weights of a model given as bytes; null leaves
 * the key out, which is right for files alone.
 * @throws {HooklineError} OPTION_INVALID when a setting is outside its range or the folder is relative.
 *
 * @example
 * ```ts ignore
 * const options = ortSessionOptions({
 *   provider: "cpu",
 *   optimization: "all",
 *   threads: 2,
 *   prepacking: true,
 *   label: "whole model",
 * }, null);
 * console.log(options.extra.session.intra_op.allow_spinning); // 0
 * ```
 */
export function ortSessionOptions(
  settings: SessionSettings,
  weightFolder: string | null,
): OrtSessionOptions {
  const { provider, optimization, threads, prepacking, label } = settings;
  if (!isProviderName(provider)) {
    throw invalid(
      "provider",
      JSON.stringify(provider) ?? "undefined",
      'resolve the provider first: a session takes "cpu", "cuda" or "webgpu"',
    );
  }
  if (!LEVELS.includes(optimization)) {
    throw invalid(
      "optimization",
      JSON.stringify(optimization) ?? "undefined",
      `use one of ${LEVELS.join(", ")}`,
    );
  }
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
    throw invalid(
      "threads",
      String(threads),
      "use a whole number from 1 to 1024",
    );
  }
  if (weightFolder !== null && !isAbsolute(weightFolder)) {
    throw invalid(
      "weightFolder",
      "a relative path",
      "resolve the folder to an absolute path first",
    );
  }
  const { savePrepacked } = settings;
  if (savePrepacked !== undefined) requireSavable(savePrepacked, prepacking);
  return {
    executionProviders: providerDescriptor(provider).executionProviders(),
    graphOptimizationLevel: optimization,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    ...(settings.arena === false || settings.arena === "shared"
      ? { enableCpuMemArena: false as const }
      : {}),
    ...(savePrepacked === undefined ? {} : { optimizedModelFilePath: savePrepacked.modelPath }),
    logSeverityLevel: 3,
    logId: label,
    extra: {
      session: {
        intra_op: { allow_spinning: "0" },
        ...(prepacking ? {} : { disable_prepacking: "1" as const }),
        ...(settings.arena === "shared" ? { use_env_allocators: "1" as const } : {}),
        ...(savePrepacked === undefined ? {} : {
          optimized_model_external_initializers_file_name: savePrepacked.dataName,
          optimized_model_external_initializers_min_size_in_bytes: "1024",
          save_external_prepacked_constant_initializers: "1" as const,
        }),
        ...(weightFolder === null
          ? {}
          : { model_external_initializers_file_folder_path: weightFolder }),
      },
    },
  };
}

/** ONNX Runtime writes wherever it is told to, past Deno's write permission: a plain place it must be. */
function requireSavable(
  { modelPath, dataName }: NonNullable<SessionSettings["savePrepacked"]>,
  prepacking: boolean,
): void {
  if (!prepacking) throw invalid("savePrepacked", "set without prepacking", "prepack the weights");
  if (!isAbsolute(modelPath)) {
    throw invalid("savePrepacked.modelPath", "a relative path", "resolve the path first");
  }
  if (!/^[\w.-]+$/.test(dataName) || dataName.startsWith(".")) {
    throw invalid("savePrepacked.dataName", JSON.stringify(dataName), "use a plain file name");
  }
}
