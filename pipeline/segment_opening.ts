// How one segment of a plan becomes a session: its bytes and the settings that are its own. Equal
// openings have equal keys, and so share a session.

import { createHash } from "node:crypto";
import type {
  Engine,
  EngineSession,
  OptimizationLevel,
  SessionSettings,
  SessionSource,
} from "../sessions/engine.ts";
import type { CudaOptions } from "../sessions/providers/cuda_options.ts";
import type { ProviderName } from "../sessions/providers/descriptor.ts";
import { commonWeights } from "./common_weights.ts";
import type { ModelStructure } from "./model_structure.ts";

/** What all sessions of one model share. */
export interface SessionHost {
  readonly structure: ModelStructure;
  readonly engine: Engine;
  readonly provider: ProviderName;
  readonly optimization: OptimizationLevel;
  /** Threads per session: one number for all, because another number can change bits. */
  readonly threads: number;
  /** Settings of the CUDA provider. */
  readonly cuda?: CudaOptions | undefined;
  /** See `SessionSettings.recordsRuns`; for the sessions that hold the whole model. */
  readonly recordsRuns?: boolean | undefined;
}

/** A segment that can be opened. */
export interface SegmentOpening {
  /** Equal for sessions that can stand for one another. */
  readonly key: string;
  readonly source: SessionSource;
  /** Names the session in errors and in the ledger. */
  readonly label: string;
  /** Whether it is the model itself: see `SessionSettings.arena`. */
  readonly isWhole: boolean;
  /** Weight and model bytes, the measure of what an idle session costs. */
  readonly byteLength: number;
  /** False keeps weights as the file has them. */
  readonly prepacking: boolean;
  /** The model's own level, or a lower one. */
  readonly optimization: OptimizationLevel;
  /** True when the session is opened for each call of its module, not with the plan. */
  readonly isDeferred: boolean;
  /** True when activations come from memory that all such sessions share: see `SessionSettings.arena`. */
  readonly sharesArena: boolean;
  /** True when the session's values have names of their own. */
  readonly isRenamed: boolean;
  /** Initializers that the session may have in common with other sessions of the model. */
  readonly commonNames: readonly string[];
}

/** The opening of a segment with the model's own settings, changed where `own` says so. */
export function segmentOpening(
  host: SessionHost,
  facts: Pick<SegmentOpening, "source" | "label" | "byteLength">,
  own: Partial<Omit<SegmentOpening, "key" | "source" | "label" | "byteLength">> = {},
): SegmentOpening {
  const {
    isWhole = false,
    prepacking = true,
    optimization = host.optimization,
    isDeferred = false,
    isRenamed = false,
    sharesArena = false,
    commonNames = [],
  } = own;
  const hash = createHash("sha256").update(`${prepacking} ${optimization} ${sharesArena} `);
  if (facts.source.kind === "bytes") hash.update(facts.source.bytes);
  else hash.update(facts.source.path);
  const key = hash.digest("hex");
  return {
    ...facts,
    key,
    isWhole,
    prepacking,
    optimization,
    isDeferred,
    isRenamed,
    sharesArena,
    commonNames,
  };
}

/** The settings of an opening's session. */
export function sessionSettings(host: SessionHost, opening: SegmentOpening): SessionSettings {
  const { provider, threads, cuda } = host;
  const common = commonWeights(host, opening);
  return {
    provider,
    ...(cuda === undefined ? {} : { cuda }),
    ...(host.recordsRuns === true && opening.isWhole ? { recordsRuns: true } : {}),
    optimization: opening.optimization,
    threads,
    prepacking: opening.prepacking,
    // Measured: parts in one arena cost 1.12 of the whole where parts on the heap cost 1.21 to 1.25 (native
    // engine, 16 and 128 tokens); without such an arena, the heap costs 2 to 5 % less than one arena each.
    arena: opening.sharesArena || !opening.isWhole ? "shared" : true,
    ...(common === undefined ? {} : { commonWeights: common }),
    label: opening.label,
  };
}

/** Opens the session, after a look at the files. */
export async function openSegment(
  host: SessionHost,
  opening: SegmentOpening,
): Promise<EngineSession> {
  host.structure.requireUnchanged();
  return await host.engine.open(opening.source, sessionSettings(host, opening));
}
