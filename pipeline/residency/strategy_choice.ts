// Which strategy streams the weights of a model, and what it keeps in memory meanwhile. It knows kinds of
// weights and what this process can do, no session.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { AdmittedResidency, ResidencyStrategy } from "../../hooks/residency_request.ts";
import type { ProviderName } from "../../sessions/providers/descriptor.ts";
import type { BlockWeights } from "./block_weights.ts";

/** What this process can do. */
export interface ResidencyMeans {
  readonly provider: ProviderName;
  /** Whether mapped memory can be fetched and let go of, and why. */
  readonly canSteer: boolean;
  readonly steering: string;
  /** False where processors cannot be told apart: files for one would be taken on another. */
  readonly knowsProcessor: boolean;
  /** False for a model given as bytes: all of it is in memory already. */
  readonly hasFiles: boolean;
  /** Whether weights can be copied to a device ahead of the runs that use them. */
  readonly hasUploads: boolean;
  /** Whether fed weights are pages of their files, which take memory and time as those of `mapped` do. */
  readonly mapsInputs: boolean;
  /** Bytes of the machine's memory; null where that may not be asked for. */
  readonly memoryByteLength: number | null;
  /** What to call the model. */
  readonly label: string;
}

/** A strategy with its reason and its appetite. */
export interface ChosenStrategy {
  readonly strategy: ResidencyStrategy;
  readonly because: string;
  /** The strategy that takes memory and time like this one here. */
  readonly costsLike: ResidencyStrategy;
  /** How many blocks ahead are fetched. */
  readonly ahead: number;
  /** Bytes of weights in memory at once while these blocks are streamed. */
  readonly windowOf: (blocks: readonly BlockWeights[]) => number;
}

/**
 * Chooses.
 *
 * @throws {HooklineError} RESIDENCY_IMPOSSIBLE when the model has no files, or the wished strategy cannot
 * work here.
 */
export function chooseStrategy(
  blocks: readonly BlockWeights[],
  wish: AdmittedResidency,
  means: ResidencyMeans,
): ChosenStrategy {
  if (!means.hasFiles) {
    throw impossible(
      means,
      "its weights are in memory already: it was given as bytes",
      "open the model by its path",
    );
  }
  if (wish.strategy === "auto") {
    return withCosts(automatic(blocks, wish, means), wish, means);
  }
  const obstacle = OBSTACLES[wish.strategy](blocks, wish, means);
  if (obstacle !== null) {
    throw impossible(means, `strategy "${wish.strategy}": ${obstacle.why}`, obstacle.fix);
  }
  return withCosts({ strategy: wish.strategy, because: "asked for" }, wish, means);
}

/**
 * What is read ahead of a mapped block takes none of this process's memory, what is read ahead to be fed
 * does. Opening a session blocks the thread that runs the one before it: nothing is gained by haste.
 */
const AHEAD: Readonly<Record<ResidencyStrategy, number>> = {
  mapped: 2,
  prepacked: 2,
  inputs: 1,
  sessions: 0,
};

function withCosts(
  chosen: Pick<ChosenStrategy, "strategy" | "because">,
  wish: AdmittedResidency,
  { mapsInputs }: ResidencyMeans,
): ChosenStrategy {
  const { strategy } = chosen;
  const costsLike = strategy === "inputs" && mapsInputs ? "mapped" : strategy;
  const ahead = strategy === "sessions" ? 0 : wish.ahead ?? AHEAD[costsLike];
  return { ...chosen, costsLike, ahead, windowOf: windowOf(costsLike, ahead) };
}

type Obstacle = { readonly why: string; readonly fix: string } | null;

function automatic(
  blocks: readonly BlockWeights[],
  wish: AdmittedResidency,
  means: ResidencyMeans,
): { readonly strategy: ResidencyStrategy; readonly because: string } {
  const tries = (strategy: ResidencyStrategy): Obstacle => OBSTACLES[strategy](blocks, wish, means);
  if (blocks.some((block) => block.isPacked)) {
    return {
      strategy: "sessions",
      because: "4-bit weights are 5 to 58 times slower when they are not prepacked",
    };
  }
  if (means.provider !== "cpu" && tries("inputs") === null) {
    return {
      strategy: "inputs",
      because: `on ${means.provider} weights are copied to the device for each call`,
    };
  }
  const prepacked = tries("prepacked");
  if (prepacked === null) {
    return { strategy: "prepacked", because: "cacheFolder is given: full speed and the same bits" };
  }
  const mapped = tries("mapped");
  if (mapped === null) return { strategy: "mapped", because: means.steering };
  const inputs = tries("inputs");
  if (inputs === null) return { strategy: "inputs", because: mapped.why };
  return { strategy: "sessions", because: `${mapped.why}, and ${inputs.why}` };
}

const OBSTACLES: Readonly<
  Record<
    ResidencyStrategy,
    (
      blocks: readonly BlockWeights[],
      wish: AdmittedResidency,
      means: ResidencyMeans,
    ) => Obstacle
  >
> = {
  mapped: (blocks, _wish, means) => {
    if (means.provider !== "cpu") return notOnCpu(means);
    const folding = [...new Set(blocks.flatMap((block) => block.folding))];
    if (folding.length > 0) {
      return {
        why: `sessions would hold what ${folding.join(", ")} makes of weights`,
        fix: "export the model with constants folded, or leave strategy out",
      };
    }
    if (blocks.some((block) => block.isHalf)) {
      return {
        why: "sessions on the CPU would hold some half-precision weights in single precision",
        fix: 'use "prepacked" or "inputs", or leave strategy out',
      };
    }
    return means.canSteer ? null : { why: means.steering, fix: "leave strategy out" };
  },
  prepacked: (_blocks, wish, means) => {
    if (means.provider !== "cpu") return notOnCpu(means);
    if (wish.cacheFolder === null) {
      return { why: "it needs a folder to write to", fix: "give cacheFolder" };
    }
    if (!means.canSteer) return { why: means.steering, fix: "leave strategy out" };
    return means.knowsProcessor
      ? null
      : { why: "this processor cannot be told from others", fix: "leave strategy out" };
  },
  inputs: (blocks) => {
    const [dtype] = blocks.flatMap((block) => block.unfed);
    const fix = 'use "sessions", or leave strategy out';
    return dtype === undefined ? null : { why: `weights of ${dtype} cannot be fed`, fix };
  },
  sessions: () => null,
};

function notOnCpu(means: ResidencyMeans): Obstacle {
  return {
    why: `weights are not mapped on ${means.provider}`,
    fix: 'use "inputs" or "sessions", or leave strategy out',
  };
}

/**
 * Measured: what is read ahead of a mapped block lies in the system's cache, not in this process; fed
 * weights are read ahead into buffers of their own; a session that opens holds one weight's pages beside
 * its own layout of all.
 */
function windowOf(
  strategy: ResidencyStrategy,
  ahead: number,
): (blocks: readonly BlockWeights[]) => number {
  return (blocks) => {
    const sizes = blocks.map((block) => block.byteLength);
    const largest = Math.max(0, ...sizes);
    switch (strategy) {
      case "mapped":
      case "prepacked":
        return largest;
      case "sessions":
        return Math.max(0, ...blocks.map(openingByteLength));
      case "inputs":
        return Math.max(
          0,
          ...sizes.map((_, index) =>
            sizes.slice(index, index + ahead + 1).reduce((sum, size) => sum + size, 0)
          ),
        );
    }
  };
}

function openingByteLength({ byteLength, ranges }: BlockWeights): number {
  return byteLength + Math.max(0, ...ranges.map((range) => range.byteLength));
}

function impossible(means: ResidencyMeans, why: string, fix: string): HooklineError {
  return new HooklineError("RESIDENCY_IMPOSSIBLE", {
    message: `cannot stream the weights of "${means.label}": ${why}`,
    fix,
    details: { model: means.label, provider: means.provider },
  });
}
