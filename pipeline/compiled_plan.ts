// A plan with its sessions. It encodes each segment once, leases the sessions while it is active or a
// run uses it, and gives them back to the pool otherwise, where they stay open as long as the byte
// budget allows: going back to an earlier plan then costs nothing.

import { encodePart, type ValueType } from "../graph/sub_model.ts";
import { targetSizes } from "../graph/target_sizes.ts";
import { internalError } from "../errors/hookline_error.ts";
import type { TensorType, TensorTypes } from "../hooks/result_check.ts";
import type { EngineSession } from "../sessions/engine.ts";
import { type ModuleStep, type Plan, type PlanStep, segmentsOf, type SegmentStep } from "./plan.ts";
import type { ModelResidency } from "./residency/model_residency.ts";
import type { PlanResidency } from "./residency/plan_residency.ts";
import type { RunnableSession } from "./residency/weight_stream.ts";
import {
  openSegment,
  type SegmentOpening,
  segmentOpening,
  type SessionHost,
} from "./segment_opening.ts";
import { PlanRows } from "./plan_rows.ts";
import type { ChainedRow } from "./segment_rows.ts";
import type { SessionLease, SessionPool } from "./session_pool.ts";
import { cannotCross, type ValueTypes } from "./value_types.ts";

/** What all plans of one model share. */
export interface PlanHost extends SessionHost {
  readonly pool: SessionPool;
  readonly types: ValueTypes;
  /** What moves weights; when left out, all of them stay. */
  readonly residency?: ModelResidency;
}

/** One for each segment; null for one that is opened for each call of its module. */
type Leases = readonly (SessionLease | null)[];

/** A plan that can run. */
export class CompiledPlan {
  readonly plan: Plan;
  /** The whole plan's session while it is open, for the short way. */
  whole: EngineSession | null = null;
  /** How the weights of streamed modules come and go; null when all of them stay. */
  readonly residency: PlanResidency | null;
  readonly #host: PlanHost;
  #encoded: readonly SegmentOpening[] | null = null;
  #leases: Promise<Leases> | null = null;
  /** Those of the last hold, while nobody holds the plan and they may be taken up again. */
  #resting: Leases | null = null;
  #sessions: readonly (EngineSession | null)[] = [];
  /** Rows of segments that run without coming back, and the sessions that they were made of. */
  #rows: PlanRows | null = null;
  #isOpen = false;
  #isForgotten = false;
  #users = 0;
  /** What segments leave for later segments; found once. */
  #passedOn: ReadonlySet<string> | null = null;
  readonly #replacedTypes = new Map<ModuleStep, TensorTypes>();

  constructor(plan: Plan, host: PlanHost) {
    this.plan = plan;
    this.residency = host.residency?.of(plan) ?? null;
    this.#host = host;
  }

  /** What runs a segment; the plan is held. */
  session(segment: SegmentStep): RunnableSession {
    const session = this.residency?.session(segment) ?? this.#sessions[segment.index] ?? null;
    if (session === null) throw internalError(`segment ${segment.index} has no session`);
    return session;
  }

  /**
   * The rows of segments, by their first step, that run without coming back when hooks look at these modules;
   * the plan is held.
   */
  rowsBeside(seen: readonly string[]): ReadonlyMap<PlanStep, ChainedRow> {
    return this.#rows?.beside(seen) ?? new Map();
  }

  /** True when values can stay on a device between segments; the plan is held. */
  get hasDevice(): boolean {
    return this.#sessions.some((session) => session?.runOnDevice !== undefined);
  }

  /**
   * The outputs of a segment that later segments read. Nothing stays with a session that closes before
   * them: what it left on a device would go with it.
   */
  keeps(segment: SegmentStep): readonly string[] {
    if (this.residency?.keepsSession(segment) === false) return [];
    const passedOn = this.#passedOn ??= new Set(
      segmentsOf(this.plan.steps).flatMap(({ inputs }) => inputs),
    );
    return segment.outputs.filter((name) => passedOn.has(name));
  }

  /** What the outputs of a replaced module must be like; nothing for other modules. */
  outputTypes(step: ModuleStep): TensorTypes | undefined {
    return this.#replacedTypes.get(step);
  }

  /**
   * Opens the sessions and keeps them until the matching {@linkcode release}. Resolves to the whole
   * plan's session, null for the other plans.
   */
  async hold(): Promise<EngineSession | null> {
    this.#users++;
    const opening = this.#leases ??= this.#resumed() ?? this.#open();
    try {
      const leases = await opening;
      if (this.#isOpen) return this.whole; // another hold has seen them
      this.#isOpen = true;
      this.#sessions = leases.map((lease) => lease?.session ?? null);
      if (this.plan.kind === "whole") this.whole = this.#sessions[0] ?? null;
      this.#rows = this.#rowsOfSessions();
      return this.whole;
    } catch (error) {
      if (this.#leases === opening) this.#leases = null; // the next hold tries again
      this.#users--;
      throw error;
    }
  }

  /** Ends one hold; after the last one the sessions go back to the pool. */
  async release(): Promise<void> {
    if (--this.#users > 0) return;
    const opening = this.#leases;
    this.#leases = null;
    this.#sessions = [];
    this.whole = null;
    this.#isOpen = false;
    if (opening === null) return;
    const leases = await opening;
    const isBack = this.#leases !== null; // somebody holds it again
    if (this.residency === null && !this.#isForgotten && !isBack) {
      this.#resting = leases;
      this.#rows?.rest();
      await Promise.all(leases.map((lease) => lease?.rest(() => this.#rows?.release())));
      return;
    }
    if (!isBack) {
      this.#rows?.release();
      await this.residency?.closed();
    }
    for (const lease of leases) await lease?.release();
  }

  /** Nobody will come back to the plan: when nobody holds it, it keeps nothing. */
  forget(): void {
    this.#isForgotten = true;
    if (this.#resting === null) return;
    this.#rows?.release();
    for (const lease of this.#resting) lease?.release().catch(() => {}); // its end is the pool's to report
    this.#resting = null;
  }

  /** The sessions of the last hold, where all of them are open still. */
  #resumed(): Promise<Leases> | null {
    const leases = this.#resting;
    this.#resting = null;
    if (leases === null) return null;
    // All of them, whatever the first says: what is taken up can be given back.
    const areOpen = leases.map((lease) => lease?.resume() ?? true);
    if (areOpen.every((isOpen) => isOpen)) return Promise.resolve(leases);
    for (const lease of leases) lease?.release().catch(() => {}); // its end is the pool's to report
    return null;
  }

  /** The rows of the sessions that are open: those of the last hold, if it had the same. */
  #rowsOfSessions(): PlanRows {
    const sessions = this.#sessions;
    if (this.#rows?.isOf(sessions)) return this.#rows;
    return new PlanRows({
      plan: this.plan,
      engine: this.#host.engine,
      sessions,
      comesByItself: (step) => this.residency?.comesByItself(step) === true,
    });
  }

  async #open(): Promise<readonly (SessionLease | null)[]> {
    this.#encoded ??= await this.#encode();
    const leases: (SessionLease | null)[] = [];
    try {
      for (const opening of this.#encoded) leases.push(await this.#lease(opening));
      const sessions = leases.map((lease) => lease?.session ?? null);
      const named = this.#encoded.map(({ isRenamed }, index) =>
        isRenamed ? null : sessions[index] ?? null
      );
      refuseNonTensors(segmentsOf(this.plan.steps), named);
      this.residency?.opened(sessions);
    } catch (error) {
      for (const lease of leases) await lease?.release();
      throw error;
    }
    return leases;
  }

  async #lease(opening: SegmentOpening): Promise<SessionLease | null> {
    if (opening.isDeferred) return null;
    const { key, byteLength } = opening;
    return await this.#host.pool.lease(key, byteLength, () => openSegment(this.#host, opening));
  }

  async #encode(): Promise<readonly SegmentOpening[]> {
    const { structure } = this.#host;
    const { skeleton } = structure;
    if (this.plan.kind === "whole") {
      const source = structure.wholeSource;
      const { label, fileByteLength: byteLength } = skeleton;
      return [segmentOpening(this.#host, { source, label, byteLength }, { isWhole: true })];
    }
    const segments = segmentsOf(this.plan.steps);
    const typed = segments.flatMap((segment) => this.#isModel(segment) ? [] : this.#typed(segment));
    const replaced = replacedModules(this.plan.steps);
    const types = await this.#host.types.require(
      [...new Set([...typed, ...replaced.flatMap((step) => step.outputs)])],
      { isMemoryShort: this.residency !== null },
    );
    for (const step of replaced) this.#replacedTypes.set(step, outputTypesOf(step, types));
    const openings: SegmentOpening[] = [];
    for (const segment of segments) openings.push(await this.#opening(segment, types));
    return openings;
  }

  /** True for a segment that opens the model itself. */
  #isModel(segment: SegmentStep): boolean {
    return segment.isWhole && this.residency?.streams(segment) !== true;
  }

  /** Values whose types a segment's part declares. */
  #typed({ inputs, nodes }: SegmentStep): readonly string[] {
    const own = new Set(inputs);
    const sizes = targetSizes(this.#host.structure.graph, nodes).filter((value) => !own.has(value));
    return [...inputs, ...sizes];
  }

  async #opening(
    segment: SegmentStep,
    types: ReadonlyMap<string, ValueType>,
  ): Promise<SegmentOpening> {
    const { structure } = this.#host;
    const { skeleton, weightFolder } = structure;
    const label = `${skeleton.label}, segment ${segment.index}`;
    if (this.#isModel(segment)) {
      const source = structure.tappedSource(segment.taps);
      const byteLength = skeleton.fileByteLength;
      return segmentOpening(this.#host, { source, label, byteLength }, { isWhole: true });
    }
    const inputs = new Map(
      this.#typed(segment).map((value) => [value, types.get(value) ?? missingType(value)]),
    );
    const streamed = await this.residency?.encode(segment, inputs) ?? null;
    if (streamed !== null) return streamed;
    const { nodes, outputs } = segment;
    const part = encodePart(structure.proto, structure.graph, { nodes, inputs, outputs });
    return segmentOpening(this.#host, {
      source: { kind: "bytes", bytes: part.bytes, weightFolder },
      label,
      byteLength: part.bytes.byteLength + part.weightByteLength,
    }, { commonNames: part.initializers });
  }
}

/** A tap on a sequence or an optional would only fail when it is fetched; say so before anything runs. */
function refuseNonTensors(
  segments: readonly SegmentStep[],
  sessions: readonly (EngineSession | null)[],
): void {
  for (const [index, segment] of segments.entries()) {
    if (segment.taps.length === 0) continue;
    const session = sessions[index] ?? null;
    if (session === null) continue; // opened later, or under other names; its run tells
    const tensors = new Set(
      session.outputs.filter((spec) => spec.isTensor).map((spec) => spec.name),
    );
    const impossible = segment.taps.filter((value) => !tensors.has(value));
    if (impossible.length > 0) throw cannotCross(impossible);
  }
}

function replacedModules(steps: readonly PlanStep[]): ModuleStep[] {
  return steps.flatMap((step) =>
    step.kind !== "module"
      ? []
      : [...step.because === "replace" ? [step] : [], ...replacedModules(step.steps)]
  );
}

/** A size that only has a name may be any; a value of unknown rank is not checked. */
function outputTypesOf(
  step: ModuleStep,
  types: ReadonlyMap<string, ValueType>,
): TensorTypes {
  const known: Record<string, TensorType> = {};
  for (const name of step.outputs) {
    const type = types.get(name);
    if (type === undefined || type.shape === null) continue;
    known[name] = {
      dtype: type.dtype,
      shape: type.shape.map((size) => typeof size === "number" ? size : null),
    };
  }
  return known;
}

function missingType(value: string): never {
  throw internalError(`value "${value}" crosses a cut without a type`);
}
