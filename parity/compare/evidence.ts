// What a comparison knows while it is open: both sides' models, which calls and values belong together,
// and the values that were recorded. A repro or a bisection works on this; the report is its summary.

import type { DType } from "../../tensor/dtype.ts";
import type { TensorMap } from "../../tensor/tensor.ts";
import type { BoundaryStore } from "./boundary_store.ts";
import type { CompareReport } from "./compare_report.ts";
import type { CallPair, ModuleMatch } from "./module_pairs.ts";
import type { PartHost } from "./part_run.ts";
import type { CompareTolerance } from "./tensor_error.ts";
import type { ValueMatch } from "./value_match.ts";

/** One side's model, open for parts. */
export interface CompareSide extends PartHost {
  /** The model's inputs by name, in this side's names and element types. */
  readonly feeds: TensorMap;
}

/** A finished comparison whose models and values are still there. */
export interface CompareEvidence {
  readonly report: CompareReport;
  readonly reference: CompareSide;
  readonly candidate: CompareSide;
  readonly match: ModuleMatch;
  readonly values: ValueMatch;
  /** Recorded values: `r:NAME` of the reference, `c:NAME` of the candidate where they were needed. */
  readonly store: BoundaryStore;
  /** The candidate's nodes of a call that lie in no matched call inside it. */
  readonly ownNodes: (pair: CallPair) => readonly number[];
  /** What may differ between tensors of these dtypes. */
  readonly tolerance: (reference: DType, candidate?: DType) => CompareTolerance;
  readonly feeds: { readonly reference: TensorMap; readonly candidate: TensorMap };
}
