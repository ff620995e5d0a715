// What a reader must know to believe the answer of a comparison: how headers differ, what was assumed,
// what the files say of themselves. It changes no number.

import { type HeaderDifference, headerNotes } from "./trace_headers.ts";
import type { TraceFindings } from "./_trace_problem.ts";
import type { TensorEntry } from "./_trace_entries.ts";
import { ASSUMED_ELEMENTS } from "./trace_statistics.ts";

/** The notes, the headers' first. */
export function traceNotes(
  init: TraceFindings,
  tensors: readonly TensorEntry[],
  headers: readonly HeaderDifference[],
): string[] {
  const { left, right, comparison, names, window } = init;
  const { comparer, first, firstLine } = comparison;
  const notes = headerNotes(headers);
  const isEverywhere = comparison.diverged > comparison.compared / 2;
  if (isEverywhere && first?.referenceLine === firstLine) {
    notes.push(
      "the very first pair of records differs: were both traced on the same inputs, with the same weights?",
    );
  }
  if (first?.stat === "shape" && manyTensors(init, first.module)) {
    notes.push(
      `"${first.module}" puts out several tensors, which may be labelled in another order: see ` +
        "`hookline trace --labels`",
    );
  }
  for (const [pair, count] of comparer.dtypePairs) {
    notes.push(`${count} pairs have dtypes ${pair}: the coarser one's tolerance was used`);
  }
  if (comparer.assumedElements) {
    notes.push(
      `sums were compared as if of ${ASSUMED_ELEMENTS} elements, because no shape stands beside ` +
        "them; trace `shape` too for a sharper comparison",
    );
  }
  if (comparer.textCount > 0) {
    notes.push(`${comparer.textCount} values are texts on one side and were not compared`);
  }
  const far = tensors.filter(({ reference, candidate }) => reference.lost && candidate.lost);
  if (far.length > 0 && Math.max(left.recordCount, right.recordCount) > window) {
    notes.push(
      `${far.length} tensors have records on either side alone: if both files have them further ` +
        `apart than the window of ${window} records, they were not compared`,
    );
  }
  if (names.ambiguous !== null) {
    notes.push(`no prefix was guessed, because ${names.ambiguous} would do: use --map`);
  }
  for (const [name, source] of [["reference", left], ["candidate", right]] as const) {
    if (source.headerCount > 1) notes.push(`the ${name} holds ${source.headerCount} runs`);
    for (const note of source.notes) notes.push(`the ${name} says: ${note}`);
  }
  return notes;
}

function manyTensors({ aligner }: TraceFindings, path: string): boolean {
  return (aligner.modules.get(path)?.tensors.size ?? 0) > 1;
}
