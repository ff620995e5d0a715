// What a capture gives back, also when a run fails. It knows collected values, no hooks.

import type { Tensor, TensorMap } from "../../mod.ts";
import type { CaptureKey } from "./capture_key.ts";
import type { WantedPositions } from "./capture_request.ts";
import type { CapturedTensor, CaptureRecord } from "./captured_tensor.ts";
import type { CollectedRun } from "./collector.ts";

/** The values of one key by position; null where a position was not asked for or its module did not run. */
export type CaptureList = readonly (CapturedTensor | null)[];

/** What one run gave, by key. */
export type Captures = Readonly<Record<string, CaptureList>>;

/** One run that a scope saw. */
export interface CapturedRun {
  /** The model's label. */
  readonly model: string;
  /** Whether another capture inside the scope made the run. */
  readonly isInner: boolean;
  /** The model's own keys. */
  readonly captures: Captures;
  /** The keys of its sub-models, by path. */
  readonly submodels: Readonly<Record<string, Captures>>;
  /** What was recorded, in the order in which the model computed it. */
  readonly records: readonly CaptureRecord[];
}

/** What {@linkcode OutputCapture.run} gives: `Requested` are the keys that the call asked for. */
export interface CaptureResult<Requested extends string = never> {
  /** The model's outputs by name; empty when the run failed. */
  readonly outputs: TensorMap;
  /** The captured values by key. */
  readonly captures: Captures & { readonly [Key in Requested]: CaptureList };
  /** The keys of sub-models, by path. */
  readonly submodels: Readonly<Record<string, Captures>>;
  /** What was recorded, in the order in which the model computed it. */
  readonly records: readonly CaptureRecord[];
  /** Runs of other captures inside this one, where those stack. */
  readonly inner: readonly CapturedRun[];
  /** True when the run failed: what the captures hold is what was recorded before. */
  readonly isPartial: boolean;
  /** What the run failed with; null when it did not. */
  readonly error: unknown;
  /** The outputs in the model's order, then the captures in the order of the keys, as transformers' `to_tuple()`. */
  toTuple(): CaptureTuple;
}

/** Outputs, then captures. */
export type CaptureTuple = readonly (Tensor | CaptureList)[];

/** What a result is made of. */
export interface ResultParts {
  readonly runs: readonly CollectedRun[];
  readonly wanted: WantedPositions;
  readonly outputs: TensorMap;
  readonly outputNames: readonly string[];
  readonly error: unknown;
  readonly isPartial: boolean;
}

/** The result of one run. */
export function captureResult(parts: ResultParts): CaptureResult {
  const own = parts.runs.find(({ isInner }) => !isInner);
  const inner = parts.runs.filter((run) => run !== own).map(capturedRun);
  const lists = new Map<CaptureKey, CaptureList>(
    [...parts.wanted.keys()].map((
      key,
    ) => [key, Object.freeze(own?.values.get(key) ?? key.slots().map(() => null))]),
  );
  const captures = byName(lists, "");
  const { outputs, outputNames } = parts;
  return Object.freeze({
    outputs,
    captures,
    submodels: byLevel(lists),
    records: Object.freeze([...own?.records ?? []]),
    inner: Object.freeze(inner),
    isPartial: parts.isPartial,
    error: parts.error,
    toTuple: () => [
      ...outputNames.flatMap((name) => outputs[name] ?? []),
      ...Object.values(captures),
    ],
  });
}

/** A collected run in the form that callers see. */
export function capturedRun(run: CollectedRun): CapturedRun {
  return Object.freeze({
    model: run.model,
    isInner: run.isInner,
    captures: byName(run.values, ""),
    submodels: byLevel(run.values),
    records: Object.freeze([...run.records]),
  });
}

function byName(lists: ReadonlyMap<CaptureKey, CaptureList>, level: string): Captures {
  const own = [...lists].filter(([key]) => key.level === level);
  return Object.freeze(Object.fromEntries(own.map(([key, list]) => [key.name, list])));
}

function byLevel(lists: ReadonlyMap<CaptureKey, CaptureList>): Readonly<Record<string, Captures>> {
  const levels = [...new Set([...lists.keys()].map(({ level }) => level))];
  return Object.freeze(
    Object.fromEntries(
      levels.filter((level) => level !== "").map((level) => [level, byName(lists, level)]),
    ),
  );
}
