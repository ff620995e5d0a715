// How the weights of a model move: which modules keep theirs, which are streamed, by which strategy,
// and what that is expected to cost. A schedule is a value and part of the plan: it is made, printed and
// hashed before a session is opened.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { GraphModule } from "../../graph/graph_module.ts";
import type { RegisteredHook } from "../../hooks/admission.ts";
import type { AdmittedResidency, ResidencyStrategy } from "../../hooks/residency_request.ts";
import { nameOf } from "../demand.ts";
import type { BlockWeights } from "./block_weights.ts";
import { forecast, type ResidencyForecast } from "./forecast.ts";
import { type HostPlacement, placeOnHost } from "./host_placement.ts";
import { placeBlocks } from "./placement.ts";
import { chooseStrategy, type ResidencyMeans } from "./strategy_choice.ts";

/** A module whose weights are scheduled. */
export interface ScheduledBlock {
  /** The module's path. */
  readonly module: string;
  /** Whether its weights stay. */
  readonly placement: "resident" | "streamed";
  /** Bytes of its weights. */
  readonly byteLength: number;
}

/** How the weights of a model move. */
export interface ResidencySchedule {
  /** How streamed weights are brought near. */
  readonly strategy: ResidencyStrategy;
  /** Why this strategy. */
  readonly because: string;
  /** How many streamed modules ahead are fetched. */
  readonly ahead: number;
  /** Folder of prepacked files, for the strategy `prepacked`. */
  readonly cacheFolder: string | null;
  /** The modules with a request, in execution order; nested ones are left to the module around them. */
  readonly blocks: readonly ScheduledBlock[];
  /** What stays in the process's memory of weights that go to a device; null without one. */
  readonly host: HostPlacement | null;
  /** What is expected. */
  readonly forecast: ResidencyForecast;
}

/** A module with what its residency hook asks for. */
export interface ResidencyWish {
  readonly module: GraphModule;
  readonly hook: string;
  readonly request: AdmittedResidency;
}

/** What to schedule. */
export interface ScheduleRequest {
  /** One wish per module, in execution order. */
  readonly wishes: readonly ResidencyWish[];
  readonly means: ResidencyMeans;
  readonly weightsOf: (module: GraphModule) => BlockWeights;
  /** Bytes of activations of the largest of some modules; null when that cannot be told. */
  readonly activationsOf: (
    modules: readonly GraphModule[],
    how: {
      readonly sizes: Readonly<Record<string, number>>;
      readonly strategy: ResidencyStrategy;
    },
  ) => number | null;
  /** Bytes of all weights of the model. */
  readonly modelByteLength: number;
}

/** What the residency hooks among a module's hooks ask for; null without one. */
export function wishOf(
  module: GraphModule,
  hooks: readonly RegisteredHook[],
): ResidencyWish | null {
  const asking = hooks.filter((hook) => hook.residency !== null);
  const [first, second] = asking;
  if (first === undefined || first.residency === null) return null;
  if (second !== undefined) {
    throw disagreement(
      `hooks "${first.name}" and "${second.name}" both decide where the weights of ${
        nameOf(module)
      } lie`,
      "remove one of them",
    );
  }
  return { module, hook: first.name, request: first.residency };
}

/**
 * Makes the schedule; null when nobody asks for anything.
 *
 * @throws {HooklineError} OPTION_INVALID when requests contradict each other, RESIDENCY_IMPOSSIBLE when
 * the wished strategy cannot work here, RESIDENCY_BUDGET when the budget holds not even one block.
 */
export function makeSchedule(request: ScheduleRequest): ResidencySchedule | null {
  const wishes = outermost(request.wishes);
  const [first] = wishes;
  if (first === undefined) return null;
  const agreed = agreedRequest(wishes);
  const weights = wishes.map(({ module }) => request.weightsOf(module));
  const restByteLength = Math.max(
    0,
    request.modelByteLength - weights.reduce((sum, block) => sum + block.byteLength, 0),
  );
  const streaming = weights.filter((_, index) => wishes[index]?.request.placement !== "resident");
  const { strategy, costsLike, because, ahead, windowOf } = chooseStrategy(
    streaming,
    agreed,
    request.means,
  );
  const blocks = placeBlocks({
    wishes,
    weights,
    byteBudget: agreed.byteBudget,
    restByteLength,
    windowOf,
  });
  const streamed = weights.filter((_, index) => blocks[index]?.placement === "streamed");
  return Object.freeze({
    strategy,
    because,
    ahead,
    cacheFolder: agreed.cacheFolder,
    blocks: Object.freeze(blocks),
    host: strategy === "inputs" && request.means.hasUploads
      ? placeOnHost({
        streamed,
        byteBudget: agreed.hostByteBudget ?? (request.means.memoryByteLength ?? 0) * HOST_PART,
        isAsked: agreed.hostByteBudget !== null,
        passingCount: ahead + 1,
      })
      : null,
    forecast: forecast({
      strategy: costsLike,
      streamed,
      windowByteLength: windowOf(streamed),
      residentByteLength: restByteLength +
        blocks.reduce(
          (sum, block) => block.placement === "resident" ? sum + block.byteLength : sum,
          0,
        ),
      activationByteLength: request.activationsOf(
        wishes.flatMap(({ module }, index) =>
          blocks[index]?.placement === "streamed" ? [module] : []
        ),
        { sizes: agreed.dimensions, strategy },
      ),
    }),
  });
}

/** Of the machine's memory, what weights on their way to a device take when nobody says how much. */
const HOST_PART = 0.5;

/** The paths that are streamed. */
export function streamedModules(schedule: ResidencySchedule | null | undefined): readonly string[] {
  return schedule?.blocks.flatMap((block) => block.placement === "streamed" ? block.module : []) ??
    [];
}

/** A module inside another with a request moves with it. */
function outermost(wishes: readonly ResidencyWish[]): readonly ResidencyWish[] {
  const nodes = new Map(
    wishes.map((wish) => [wish, new Set(wish.module.calls.flatMap((call) => call.nodes))]),
  );
  return wishes.filter((wish) => {
    const own = nodes.get(wish) ?? new Set<number>();
    return !wishes.some((other) => {
      const around = nodes.get(other) ?? new Set<number>();
      return other !== wish && around.size > own.size && own.isSubsetOf(around);
    });
  });
}

/** What all requests say together about the model as a whole. */
function agreedRequest(wishes: readonly ResidencyWish[]): AdmittedResidency {
  const [first, ...others] = wishes as [ResidencyWish, ...ResidencyWish[]];
  for (const other of others) {
    for (const field of ["strategy", "byteBudget", "hostByteBudget", "cacheFolder"] as const) {
      if (other.request[field] === first.request[field]) continue;
      throw disagreement(
        `${nameOf(first.module)} asks for ${field} ${first.request[field]} and ${
          nameOf(other.module)
        } for ${other.request[field]}`,
        `give all residency hooks of a model the same ${field}`,
      );
    }
  }
  const asked = wishes.flatMap(({ request }) => request.ahead ?? []);
  return { ...first.request, ahead: asked.length === 0 ? null : Math.max(...asked) };
}

function disagreement(what: string, fix: string): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot plan residency: ${what}`,
    fix,
    details: { option: "residency" },
  });
}
