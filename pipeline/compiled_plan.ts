// A plan with its sessions. It encodes each segment once, leases the sessions while it is active or a
// run uses it, and gives them back to the pool otherwise, where they stay open as long as the byte
// budget allows: going back to an earlier plan then costs nothing.

import { createHash } from "node:crypto";
import { encodePart, type ValueType } from "../graph/sub_model.ts";
import { internalError } from "../errors/hookline_error.ts";
import type { TensorType, TensorTypes } from "../hooks/result_check.ts";
import type {
  Engine,
  EngineSession,
  OptimizationLevel,
  SessionSource,
} from "../sessions/engine.ts";
import type { ProviderName } from "../sessions/providers/descriptor.ts";
import type { ModelStructure } from "./model_structure.ts";
import { type ModuleStep, type Plan, type PlanStep, segmentsOf, type SegmentStep } from "./plan.ts";
import type { SessionLease, SessionPool } from "./session_pool.ts";
import { cannotCross, type ValueTypes } from "./value_types.ts";

/** What all plans of one model share. */
export interface PlanHost {
  readonly structure: ModelStructure;
  readonly engine: Engine;
  readonly provider: ProviderName;
  readonly optimization: OptimizationLevel;
  /** Threads per session: one number for all, because another number can change bits. */
  readonly threads: number;
  readonly pool: SessionPool;
  readonly types: ValueTypes;
}

interface EncodedSegment {
  readonly key: string;
  readonly source: SessionSource;
  readonly label: string;
  readonly isWhole: boolean;
  /** Weight and model bytes, the measure of what an idle session costs. */
  readonly byteLength: number;
}

/** A plan that can run. */
export class CompiledPlan {
  readonly plan: Plan;
  /** The whole plan's session while it is open, for the short way. */
  whole: EngineSession | null = null;
  readonly #host: PlanHost;
  #encoded: readonly EncodedSegment[] | null = null;
  #leases: Promise<readonly SessionLease[]> | null = null;
  #sessions: readonly EngineSession[] = [];
  #users = 0;
  readonly #replacedTypes = new Map<ModuleStep, TensorTypes>();

  constructor(plan: Plan, host: PlanHost) {
    this.plan = plan;
    this.#host = host;
  }

  /** The session of a segment; the plan is held. */
  session(segment: SegmentStep): EngineSession {
    const session = this.#sessions[segment.index];
    if (session === undefined) throw internalError(`segment ${segment.index} has no session`);
    return session;
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
    const opening = this.#leases ??= this.#open();
    try {
      const leases = await opening;
      this.#sessions = leases.map((lease) => lease.session);
      if (this.plan.kind === "whole") this.whole = this.#sessions[0] ?? null;
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
    const leases = this.#leases;
    this.#leases = null;
    this.#sessions = [];
    this.whole = null;
    if (leases === null) return;
    for (const lease of await leases) await lease.release();
  }

  async #open(): Promise<readonly SessionLease[]> {
    this.#encoded ??= await this.#encode();
    const leases: SessionLease[] = [];
    try {
      for (const segment of this.#encoded) leases.push(await this.#lease(segment));
      refuseNonTensors(segmentsOf(this.plan.steps), leases);
    } catch (error) {
      for (const lease of leases) await lease.release();
      throw error;
    }
    return leases;
  }

  #lease(segment: EncodedSegment): Promise<SessionLease> {
    const { pool, engine, provider, optimization, threads, structure } = this.#host;
    return pool.lease(segment.key, segment.byteLength, async () => {
      structure.requireUnchanged();
      return await engine.open(segment.source, {
        provider,
        optimization,
        threads,
        prepacking: true,
        // Measured: parts that share the heap's warm memory cost 2 to 5 % less than parts with arenas.
        arena: segment.isWhole,
        label: segment.label,
      });
    });
  }

  async #encode(): Promise<readonly EncodedSegment[]> {
    const { structure } = this.#host;
    const { skeleton } = structure;
    if (this.plan.kind === "whole") {
      return [{
        key: "whole",
        isWhole: true,
        source: structure.wholeSource,
        label: skeleton.label,
        byteLength: skeleton.fileByteLength,
      }];
    }
    const segments = segmentsOf(this.plan.steps);
    const fed = segments.flatMap((segment) => segment.isWhole ? [] : segment.inputs);
    const replaced = replacedModules(this.plan.steps);
    const types = await this.#host.types.require([
      ...new Set([...fed, ...replaced.flatMap((step) => step.outputs)]),
    ]);
    for (const step of replaced) this.#replacedTypes.set(step, outputTypesOf(step, types));
    return segments.map((segment) => {
      if (segment.isWhole) {
        return this.#encodedSegment(
          segment,
          structure.tappedSource(segment.taps),
          skeleton.fileByteLength,
        );
      }
      const inputs = new Map(
        segment.inputs.map((value) => [value, types.get(value) ?? missingType(value)]),
      );
      const part = encodePart(structure.proto, structure.graph, {
        nodes: segment.nodes,
        inputs,
        outputs: segment.outputs,
      });
      return this.#encodedSegment(
        segment,
        { kind: "bytes", bytes: part.bytes, weightFolder: structure.weightFolder },
        part.bytes.byteLength + part.weightByteLength,
      );
    });
  }

  #encodedSegment(segment: SegmentStep, source: SessionSource, byteLength: number): EncodedSegment {
    const hash = createHash("sha256");
    if (source.kind === "bytes") hash.update(source.bytes);
    else hash.update(source.path);
    return {
      key: hash.digest("hex"),
      isWhole: segment.isWhole,
      source,
      label: `${this.#host.structure.skeleton.label}, segment ${segment.index}`,
      byteLength,
    };
  }
}

/** A tap on a sequence or an optional would only fail when it is fetched; say so before anything runs. */
function refuseNonTensors(segments: readonly SegmentStep[], leases: readonly SessionLease[]): void {
  for (const [index, segment] of segments.entries()) {
    if (segment.taps.length === 0) continue;
    const tensors = new Set(
      leases[index]?.session.outputs.filter((spec) => spec.isTensor).map((spec) => spec.name),
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
