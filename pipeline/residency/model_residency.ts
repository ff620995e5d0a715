// Residency of one model: schedules for its plans, and the streams that carry them out. It owns what
// steers the process's memory, opened on first use.

import type { GraphModule } from "../../graph/graph_module.ts";
import type { RegisteredHook } from "../../hooks/admission.ts";
import { systemMemoryByteLength } from "../../host/system_memory.ts";
import {
  openWeightMemory,
  type WeightMemory,
} from "../../sessions/mapped_weights/weight_memory.ts";
import type { Plan } from "../plan.ts";
import type { SessionHost } from "../segment_opening.ts";
import { activationByteLength } from "./activations.ts";
import { type BlockWeights, blockWeights, modelWeightByteLength } from "./block_weights.ts";
import { DeviceStream } from "./device_stream.ts";
import { inputStream } from "./input_stream.ts";
import { mapsInputs } from "./mapped_inputs.ts";
import { mappedStream } from "./mapped_stream.ts";
import { PlanResidency } from "./plan_residency.ts";
import { prepackedStream } from "./prepacked_stream.ts";
import { makeSchedule, type ResidencySchedule, wishOf } from "./schedule.ts";
import { sessionStream } from "./session_stream.ts";
import type { WeightStream } from "./weight_stream.ts";

/** A module with the hooks of one moment. */
export interface HookedModule {
  readonly module: GraphModule;
  readonly hooks: readonly RegisteredHook[];
}

/** Residency of one model. */
export class ModelResidency implements Disposable {
  readonly #host: SessionHost;
  readonly #find: (path: string) => GraphModule;
  readonly #openMemory: () => WeightMemory;
  readonly #weights = new Map<string, BlockWeights>();
  #memory: WeightMemory | null = null;
  #modelByteLength: number | null = null;
  #memoryByteLength: number | null = null;

  /** `find` gives a module by its path; only tests pass another `openMemory`. */
  constructor(
    host: SessionHost,
    find: (path: string) => GraphModule,
    openMemory: () => WeightMemory = openWeightMemory,
  ) {
    this.#host = host;
    this.#find = find;
    this.#openMemory = openMemory;
  }

  /**
   * The schedule that the hooks of a moment ask for; null when none does.
   *
   * @throws {HooklineError} OPTION_INVALID, RESIDENCY_BUDGET or RESIDENCY_IMPOSSIBLE.
   */
  schedule(hooked: readonly HookedModule[]): ResidencySchedule | null {
    const wishes = hooked.flatMap(({ module, hooks }) => wishOf(module, hooks) ?? []);
    if (wishes.length === 0) return null;
    wishes.sort((left, right) => firstNode(left.module) - firstNode(right.module));
    const { structure, provider, engine } = this.#host;
    const memory = this.#memory ??= this.#openMemory();
    return makeSchedule({
      wishes,
      weightsOf: (module) => this.#weightsOf(module),
      activationsOf: (modules, { sizes, strategy }) =>
        activationByteLength(structure, modules, { sizes, strategy, engine: engine.name }),
      modelByteLength: this.#modelByteLength ??= modelWeightByteLength(structure),
      means: {
        provider,
        canSteer: memory.canSteer,
        steering: memory.because,
        knowsProcessor: memory.processor !== null,
        hasFiles: structure.weightFolder !== null,
        mapsInputs: mapsInputs({ host: this.#host, memory }),
        hasUploads: provider !== "cpu" && engine.name === "native",
        memoryByteLength: this.#memoryByteLength ??= systemMemoryByteLength(),
        label: structure.skeleton.label,
      },
    });
  }

  /** What carries out a plan's schedule; null when nothing is streamed. */
  of(plan: Plan): PlanResidency | null {
    const { residency: schedule, steps } = plan;
    if (schedule === undefined || schedule.forecast.streamedByteLength === 0) return null;
    return new PlanResidency({ schedule, steps, stream: this.#streamFor(schedule) });
  }

  [Symbol.dispose](): void {
    this.#memory?.[Symbol.dispose]();
    this.#memory = null;
  }

  #streamFor(schedule: ResidencySchedule): WeightStream {
    const host = this.#host;
    const memory = this.#memory ??= this.#openMemory();
    memory.economize();
    const weights = new Map(
      schedule.blocks.filter((block) => block.placement === "streamed")
        .map(({ module }) => [module, this.#weightsOf(this.#find(module))]),
    );
    switch (schedule.strategy) {
      case "mapped":
        return mappedStream({ host, memory, weights });
      case "prepacked":
        return prepackedStream({ host, memory, cacheFolder: schedule.cacheFolder ?? "" });
      case "inputs":
        return schedule.host === null
          ? inputStream(host, memory)
          : new DeviceStream(host, new Set(schedule.host.modules));
      case "sessions":
        return sessionStream(host);
    }
  }

  #weightsOf(module: GraphModule): BlockWeights {
    const known = this.#weights.get(module.path) ?? blockWeights(this.#host.structure, module);
    this.#weights.set(module.path, known);
    return known;
  }
}

function firstNode(module: GraphModule): number {
  return module.calls[0]?.nodes[0] ?? Infinity;
}
