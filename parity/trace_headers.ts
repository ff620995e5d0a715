// What two traces say about where they come from, and where that differs. It knows headers as JSON
// objects: a field that it has never seen is compared like any other.

import type { TraceHeader } from "./trace_source.ts";

/** A field of the headers that differs. */
export interface HeaderDifference {
  /** Its name, with a dot where it lies in an object: `versions.onnxruntime`. */
  readonly field: string;
  /** Its value in the reference; null when the header has none. */
  readonly reference: unknown;
  /** Its value in the candidate. */
  readonly candidate: unknown;
}

/** Fields that say nothing about the numbers: where the header stands, and what follows from others. */
const SILENT: readonly string[] = ["type", "format", "formatVersion", "run", "modules", "untraced"];

/** What a difference in a field means for who reads the numbers. */
const MEANINGS: Readonly<Record<string, string>> = {
  structureHash: "the traces are of models of another structure",
  fileSha256: "the traces are of other model files",
  optimization: "ONNX Runtime was allowed to rewrite the graphs to another degree",
  provider: "the models ran on other execution providers",
  inputsHash: "the models ran on other inputs",
  inputsSha256: "the models ran on other inputs",
  layers: "other modules were traced",
  steps: "other steps were traced",
};

/** The fields in which two headers differ, in the order of their names. */
export function compareHeaders(
  reference: TraceHeader,
  candidate: TraceHeader,
): HeaderDifference[] {
  const [left, right] = [flatten(reference), flatten(candidate)];
  const fields = [...new Set([...left.keys(), ...right.keys()])].sort();
  return fields.flatMap((field) => {
    const [one, other] = [left.get(field) ?? null, right.get(field) ?? null];
    return JSON.stringify(one) === JSON.stringify(other)
      ? []
      : [{ field, reference: one, candidate: other }];
  });
}

/** What the differences mean, for those that mean something. */
export function headerNotes(differences: readonly HeaderDifference[]): string[] {
  return differences.flatMap(({ field }) =>
    Object.hasOwn(MEANINGS, field) ? [`${MEANINGS[field]} (${field} in the headers)`] : []
  );
}

function flatten(header: TraceHeader): Map<string, unknown> {
  const fields = new Map<string, unknown>();
  for (const [key, value] of Object.entries(header)) {
    if (SILENT.includes(key)) continue;
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      for (const [inner, item] of Object.entries(value)) fields.set(`${key}.${inner}`, item);
    } else fields.set(key, value);
  }
  return fields;
}
