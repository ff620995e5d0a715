// The word that all naming dialects answer in: where a live node lies and what says so.

import type { EvidenceKind } from "./graph_module.ts";

/** Where a live node lies. */
export interface NodePlace {
  /** The path of the innermost module. */
  readonly path: string;
  /** What says so; null for a node placed by its neighbours alone. */
  readonly evidence: EvidenceKind | null;
  /**
   * Nodes of one module with the same number belong to the same call, with different numbers to
   * different calls, in their order; null when the names tell nothing.
   */
  readonly call: number | null;
}

/** What one dialect says of one node. */
export interface DialectPlace extends NodePlace {
  /** What says so. */
  readonly evidence: EvidenceKind;
  /** Paths that the node's name shows to have been called. */
  readonly calledPaths: readonly string[];
  /** Classes of paths, where the dialect has them. */
  readonly classNames?: readonly (readonly [path: string, className: string])[];
  /** True when the path or the call rests on a guess. */
  readonly isAmbiguous?: boolean;
}
