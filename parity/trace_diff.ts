// Compares two traces: reads both files once, side by side, pairs their records and compares each pair.
// It owns the order of reading and when an answer can be given; the words are trace_verdict.ts's.
//
// Reading goes line against line. A side whose record found its partner is behind, so it is read on
// until the other side has nothing left that waits: a block of records that one file lacks costs its
// length in waiting once, and not for the rest of the file.

import { TraceAligner } from "./trace_alignment.ts";
import { type ComparedRecords, TraceComparison } from "./_trace_comparison.ts";
import { NameTable, parseNameRules } from "./trace_names.ts";
import { TraceSource } from "./trace_source.ts";
import { requireTolerance, type ToleranceOptions } from "./trace_tolerance.ts";
import { type TraceDiff, traceVerdict } from "./trace_verdict.ts";

export type { ComparedRecords } from "./_trace_comparison.ts";

/** Options of {@linkcode diffTraces}. */
export interface TraceDiffOptions extends ToleranceOptions {
  /** Renames: `REFERENCE_PREFIX=CANDIDATE_PREFIX`, each a dotted path or empty. */
  readonly map?: readonly string[];
  /** False to compare names as they are, without looking for a prefix on one side only. */
  readonly guessPrefixes?: boolean;
  /** How many records of its own file a record waits for; {@linkcode REORDER_WINDOW} when left out. */
  readonly window?: number;
  /** Called for every pair of records that was compared: what a heat map is drawn from. */
  readonly onCompared?: ((records: ComparedRecords) => void) | undefined;
}

/** How far apart two records that belong together may stand, in records of one file. */
export const REORDER_WINDOW = 16_384;
/** How many records of each file are looked at for prefixes before any is compared. */
const LOOK_AHEAD = 4_096;

/**
 * Compares two traces of activations, record by record, in bounded memory.
 *
 * Records belong together when module, tensor, step and call are the same; where not both files number
 * their calls, a call is the k-th occurrence of module, tensor and step. What stands in one file alone
 * is listed, damaged lines are passed over and listed; neither changes whether the rest is the same.
 *
 * @throws {HooklineError} FILE_READ when a file cannot be read, FILE_FORMAT when one holds no record at
 * all, OPTION_INVALID for a bad option or a rename that no module has.
 *
 * @example
 * ```ts ignore
 * import { diffTraces } from "./trace_diff.ts";
 * const { status, first } = await diffTraces("torch.jsonl", "onnx.jsonl");
 * console.log(status, first?.module);
 * ```
 */
export async function diffTraces(
  reference: string,
  candidate: string,
  options: TraceDiffOptions = {},
): Promise<TraceDiff> {
  const { window = REORDER_WINDOW } = options;
  requireTolerance(options, window);
  const rules = parseNameRules(options.map ?? []);
  await using left = await TraceSource.open(reference);
  await using right = await TraceSource.open(candidate);
  const [leftAhead, rightAhead] = [
    await left.lookAhead(LOOK_AHEAD),
    await right.lookAhead(LOOK_AHEAD),
  ];
  const names = new NameTable(rules, leftAhead.modules);
  if (options.guessPrefixes ?? true) names.guess(rightAhead.modules);
  const isNumbered = leftAhead.isNumbered && rightAhead.isNumbered;
  const comparison = new TraceComparison(options, left, right);
  const aligner: TraceAligner = new TraceAligner({
    window,
    isNumbered,
    rename: (path) =>
      names.rename(path, (wanted) => aligner.modules.get(wanted)?.inReference ?? false),
    onPair: (one, other) => comparison.compare(one, other),
  });
  await readBoth(left, right, aligner);
  return traceVerdict({ left, right, aligner, names, comparison, window });
}

/** Gives every record of both files to the aligner. */
async function readBoth(
  left: TraceSource,
  right: TraceSource,
  aligner: TraceAligner,
): Promise<void> {
  let isLeftOpen = await left.refill();
  let isRightOpen = await right.refill();
  let isLeftNext = true;
  while (isLeftOpen || isRightOpen) {
    const isLeft: boolean = isLeftNext ? isLeftOpen : !isRightOpen;
    const source = isLeft ? left : right;
    const record = source.take();
    if (record === null) {
      const isOpen = await source.refill();
      if (isLeft) isLeftOpen = isOpen;
      else isRightOpen = isOpen;
      continue;
    }
    const isFound = aligner.add(isLeft ? "reference" : "candidate", record, source.line);
    // A hit says that this side is behind: it is read on while the other one waits.
    const isBehind: boolean = isFound &&
      aligner.waitingCount(isLeft ? "candidate" : "reference") > 0;
    isLeftNext = isBehind ? isLeft : !isLeft;
  }
  aligner.finish();
}
