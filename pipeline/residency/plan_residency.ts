// The streaming of one plan's weights: it joins the plan's streamed modules with the strategy that moves
// them, and gives every run its way through them.

import type { EngineSession } from "../../sessions/engine.ts";
import type { ModuleStep, PlanStep, SegmentStep } from "../plan.ts";
import { segmentsOf } from "../plan.ts";
import type { SegmentOpening } from "../segment_opening.ts";
import type { ValueType } from "../../graph/sub_model.ts";
import { BlockHolds } from "./block_holds.ts";
import { ResidencyRun } from "./residency_run.ts";
import type { ResidencySchedule } from "./schedule.ts";
import { streamedModules } from "./schedule.ts";
import type { RunnableSession, WeightStream } from "./weight_stream.ts";

/** What a plan's streaming is made from. */
export interface PlanResidencyOptions {
  readonly schedule: ResidencySchedule;
  readonly steps: readonly PlanStep[];
  readonly stream: WeightStream;
}

/** The streaming of one plan's weights. */
export class PlanResidency {
  readonly #stream: WeightStream;
  readonly #ahead: number;
  readonly #holds: BlockHolds;
  /** Streamed modules in execution order, one entry for each call. */
  readonly #modules: readonly string[];
  /** The streamed module that a segment belongs to, by the segment's index. */
  readonly #moduleOf: ReadonlyMap<number, string>;

  constructor({ schedule, steps, stream }: PlanResidencyOptions) {
    const streamed = streamedSteps(steps, new Set(streamedModules(schedule)));
    this.#stream = stream;
    this.#ahead = schedule.ahead;
    this.#modules = streamed.map((step) => step.module);
    this.#moduleOf = new Map(
      streamed.flatMap((step) =>
        segmentsOf(step.steps).map(({ index }) => [index, step.module] as const)
      ),
    );
    this.#holds = new BlockHolds(stream);
  }

  /** How a segment of a streamed module is opened; null for any other segment. */
  async encode(
    segment: SegmentStep,
    inputs: ReadonlyMap<string, ValueType>,
  ): Promise<SegmentOpening | null> {
    const module = this.#moduleOf.get(segment.index);
    return module === undefined ? null : await this.#stream.encode({ segment, module, inputs });
  }

  /** The plan's sessions are open. */
  opened(sessions: readonly (EngineSession | null)[]): void {
    this.#stream.opened(sessions);
  }

  /** What runs a segment instead of the plan's own session; null for that one. */
  session(segment: SegmentStep): RunnableSession | null {
    return this.#moduleOf.has(segment.index) ? this.#stream.session(segment) : null;
  }

  /** True for a segment of a streamed module. */
  streams(segment: SegmentStep): boolean {
    return this.#moduleOf.has(segment.index);
  }

  /** True for a segment whose session stays open as long as the plan's do. */
  keepsSession(segment: SegmentStep): boolean {
    return !this.streams(segment) || this.#stream.keepsSessions;
  }

  /** True for a module whose weights come and go around its calls. */
  isStreamed(step: ModuleStep): boolean {
    return this.#modules.includes(step.module);
  }

  /** True for a module whose weights come when they are touched: it may run in a row with others. */
  comesByItself(step: ModuleStep): boolean {
    return this.#ahead > 0 && this.#stream.comesByItself && this.isStreamed(step);
  }

  /** The way of one run; end it however the run ends. */
  begin(): ResidencyRun {
    const run = new ResidencyRun({
      modules: this.#modules,
      ahead: this.#ahead,
      holds: this.#holds,
    });
    run.begin();
    return run;
  }

  /** The plan's sessions are about to be given back; no run is in flight. */
  async closed(): Promise<void> {
    await this.#stream.closed();
  }
}

/** The steps of streamed modules in execution order; none lies inside another. */
function streamedSteps(
  steps: readonly PlanStep[],
  streamed: ReadonlySet<string>,
): readonly ModuleStep[] {
  return steps.flatMap((step) => {
    if (step.kind !== "module") return [];
    return streamed.has(step.module) ? [step] : streamedSteps(step.steps, streamed);
  });
}
