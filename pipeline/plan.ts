// A plan is a value: what runs in which order, where hooks are called in between, and why. It can be
// made, printed, hashed and compared without opening a session.

import { createHash } from "node:crypto";
import type { ResidencySchedule } from "./residency/schedule.ts";

/** How a model runs: untouched, with further outputs, or cut into segments. */
export type PlanKind = "whole" | "tapped" | "split";

/** A part of the graph that runs as one session. */
export interface SegmentStep {
  /** What kind of step this is. */
  readonly kind: "segment";
  /** Position among the plan's segments, from 0, in execution order. */
  readonly index: number;
  /** Live nodes, ascending. */
  readonly nodes: readonly number[];
  /** True when the segment holds every live node: then the model itself is opened, with taps. */
  readonly isWhole: boolean;
  /** Values that are fed. */
  readonly inputs: readonly string[];
  /** Values that are fetched: for later steps, for hooks, or as the model's outputs. */
  readonly outputs: readonly string[];
  /** Values among `outputs` that only hooks want. */
  readonly taps: readonly string[];
}

/** Hooks of one module call are entered or left here, on values that are computed already. */
export interface EventStep {
  /** Before the forward, or after it. */
  readonly kind: "enter" | "leave";
  /** The module's path. */
  readonly module: string;
  /** Which call of the module, from 0. */
  readonly callIndex: number;
  /** Inputs for `enter`, outputs for `leave`. */
  readonly values: readonly string[];
}

/** A module call that runs as a step of its own, so that its inputs or its forward can change. */
export interface ModuleStep {
  /** What kind of step this is. */
  readonly kind: "module";
  /** The module's path. */
  readonly module: string;
  /** Which call of the module, from 0. */
  readonly callIndex: number;
  /** Why it runs apart. */
  readonly because: string;
  /** Values that the module reads. */
  readonly inputs: readonly string[];
  /** Values that the module computes and others read. */
  readonly outputs: readonly string[];
  /** What the module itself runs. */
  readonly steps: readonly PlanStep[];
}

/** One step of a plan. */
export type PlanStep = SegmentStep | EventStep | ModuleStep;

/** What runs, in which order, and why. */
export interface Plan {
  /** How the model runs. */
  readonly kind: PlanKind;
  /** Empty for the whole plan. */
  readonly steps: readonly PlanStep[];
  /** sha256 over everything else here and the model's structure, in hex. */
  readonly hash: string;
  /** sha256 over the model's structure and the hooks that the plan was made for, in hex. */
  readonly madeFor: string;
  /** The outputs that come out. */
  readonly outputs: readonly string[];
  /** Hook names by module path, in dispatch order. */
  readonly order: Readonly<Record<string, readonly string[]>>;
  /** One line for every tap and cut. */
  readonly because: readonly string[];
  /** How weights move; absent when no hook asks for anything. */
  readonly residency?: ResidencySchedule;
}

/** The plan's segments in execution order, those inside module steps included. */
export function segmentsOf(steps: readonly PlanStep[]): SegmentStep[] {
  return steps.flatMap((step) =>
    step.kind === "segment" ? [step] : step.kind === "module" ? segmentsOf(step.steps) : []
  );
}

/** Fingerprint of a model's structure and its hooks: what a plan is made for. */
export function planSubject(
  structureHash: string,
  orderKeys: Readonly<Record<string, string>>,
): string {
  return sha256(structureHash, JSON.stringify(orderKeys));
}

/** Seals a plan: adds its hash and freezes it. */
export function sealPlan(plan: Omit<Plan, "hash">): Plan {
  return Object.freeze({ ...plan, hash: sha256(JSON.stringify(plan)) });
}

function sha256(...texts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(text);
  return hash.digest("hex");
}
