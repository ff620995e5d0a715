// One strategy at work on one plan: how the segments of streamed modules are opened, and how their
// weights come and go. Who calls when is in residency_run.ts.

import type { ValueType } from "../../graph/sub_model.ts";
import type { EngineSession } from "../../sessions/engine.ts";
import type { SegmentStep } from "../plan.ts";
import type { SegmentOpening } from "../segment_opening.ts";

/** What runs a segment: a session, or one that is fed weights beside the values. */
export type RunnableSession = Pick<EngineSession, "run" | "runOnDevice">;

/** A segment of a streamed module. */
export interface StreamedSegment {
  readonly segment: SegmentStep;
  /** The streamed module's path. */
  readonly module: string;
  /** Types of the values that are fed. */
  readonly inputs: ReadonlyMap<string, ValueType>;
}

/** How the weights of streamed modules come and go. */
export interface WeightStream {
  /**
   * True where weights come when they are touched: fetching and releasing are advice then, and a module's
   * segments may run in a row with others.
   */
  readonly comesByItself: boolean;
  /** True where sessions stay open for the plan's life: what one leaves on a device lives on behind it. */
  readonly keepsSessions: boolean;
  /** How a segment's session is opened. Called once for each, before anything is opened. */
  encode(streamed: StreamedSegment): Promise<SegmentOpening>;
  /** The plan's sessions are open, in the order of its segments; null for a deferred one. */
  opened(sessions: readonly (EngineSession | null)[]): void;
  /** Brings a module's weights near; resolves when its segments can run. */
  fetch(module: string): Promise<void>;
  /** Lets go of them; no run uses them now. */
  release(module: string): Promise<void>;
  /** What runs a segment instead of the plan's own session; null for that one. */
  session(segment: SegmentStep): RunnableSession | null;
  /** The sessions are about to be given back: every area is forgotten, every buffer freed. */
  closed(): Promise<void>;
}
