// What a comparison of two models answers, as plain data: `hookline compare --json` prints it, the HTML
// report draws it. It knows no model and no session.

/** How far one tensor is from another of the same meaning. Element types may differ; shapes may not. */
export interface TensorError {
  /** Largest absolute difference; Infinity where only one side is NaN or infinite, or the shapes differ. */
  readonly maxAbs: number;
  /** `maxAbs` over the reference's largest finite magnitude. */
  readonly maxRel: number;
  /** Cosine of the angle between the two as vectors of float64; 1 when both are zero. */
  readonly cosine: number;
  /** Signal to quantisation noise, 10·log10(Σr² / Σ(r−c)²), in decibels; Infinity when equal. */
  readonly sqnrDb: number;
  /** Largest distance in units of the last place of the coarser of the two dtypes; null for integers. */
  readonly maxUlp: number | null;
  /** Elements where the candidate is NaN and the reference is not. */
  readonly nanCandidate: number;
  /** Elements where the reference is NaN and the candidate is not. */
  readonly nanReference: number;
  /** Elements that differ at all. */
  readonly differing: number;
  /** Elements compared. */
  readonly elements: number;
  /** The largest finite magnitude of the reference: what the relative tolerance is measured on. */
  readonly scale: number;
  /** `maxAbs` over the tolerance, atol + rtol · scale; above 1 the tensors differ. */
  readonly ratio: number;
}

/** One output tensor of one call of one module. */
export interface ComparedTensor {
  /** The module's path in the reference; `""` is the model itself. */
  readonly module: string;
  /** Its path in the candidate, where that is another one. */
  readonly candidateModule?: string;
  /** The class that exported it, or null. */
  readonly className: string | null;
  /** Which call of the module within the run, from 0. */
  readonly call: number;
  /** The value's name in the reference. */
  readonly tensor: string;
  /** Its name in the candidate, where that is another one. */
  readonly candidateTensor?: string;
  /** Element type and sizes in the reference. */
  readonly dtype: string;
  /** Its sizes in the reference. */
  readonly shape: readonly number[];
  /** The candidate's, where they differ. */
  readonly candidateDtype?: string;
  /** Its sizes in the candidate, where they differ. */
  readonly candidateShape?: readonly number[];
  /** In the candidate's own run; null when it could not be had (`problem` says why). */
  readonly inherited: TensorError | null;
  /** The candidate's module fed with the reference's inputs; null when it could not be had. */
  readonly local: TensorError | null;
  /**
   * The nodes of the module that lie in no module inside it, fed with the reference's values: tells a
   * container that errs itself from one that holds a module that errs. Null where it was not needed.
   */
  readonly own: TensorError | null;
  /** Differences of the elements |reference − candidate| of `local` over powers of ten; see `HISTOGRAM_EDGES`. */
  readonly histogram: readonly number[] | null;
  /** What could not be computed, and why. */
  readonly problem?: string;
}

/**
 * Upper edges of the histogram's bins, relative to the reference's scale. There is one bin more than edges:
 * the first holds what is equal, the last what is above the last edge.
 */
export const HISTOGRAM_EDGES: readonly number[] = [
  0,
  1e-8,
  1e-7,
  1e-6,
  1e-5,
  1e-4,
  1e-3,
  1e-2,
  1e-1,
  1,
];

/** A module that brings an error in, rather than passing one on. */
export interface IntroducingModule {
  /** The module's path in the reference. */
  readonly module: string;
  /** Its path in the candidate, where that is another one. */
  readonly candidateModule?: string;
  /** The class that exported it, or null. */
  readonly className: string | null;
  /** Which call of the module within the run, from 0. */
  readonly call: number;
  /** Its worst output's error when fed with the reference's inputs. */
  readonly local: TensorError;
  /** The error of the nodes that lie in no module inside it, which a container is ranked by. */
  readonly own?: TensorError;
  /** Nodes of the candidate's module. */
  readonly nodes: number;
}

/** A module that only one side has, or that has no partner. */
export interface UnmatchedModule {
  /** The module's path in the reference. */
  readonly module: string;
  /** The class that exported it, or null. */
  readonly className: string | null;
  /** Why it has none. */
  readonly why: string;
}

/** One side of a comparison. */
export interface ComparedModel {
  /** The path that was given, or what else to call the model. */
  readonly path: string;
  /** sha256 of its structure, in hex. */
  readonly structureHash: string;
  /** Nodes. */
  readonly nodes: number;
  /** Modules. */
  readonly modules: number;
  /** The engine that ran it. */
  readonly engine: string;
  /** The execution provider that it ran on. */
  readonly provider: string;
  /** How far ONNX Runtime was allowed to rewrite it. */
  readonly optimization: string;
}

/** What `compareModels` answers. */
export interface CompareReport {
  /** `"same"`: every output, and every module that is fed with the reference's inputs, is within tolerance. */
  readonly status: "same" | "diverged" | "incomparable";
  /** The modules that bring errors in, worst first. */
  readonly introducedBy: readonly IntroducingModule[];
  /** Every compared tensor, in execution order of the reference; the model's own outputs under `""`. */
  readonly modules: readonly ComparedTensor[];
  /** Modules that have no partner. */
  readonly onlyReference: readonly UnmatchedModule[];
  /** The same of the candidate. */
  readonly onlyCandidate: readonly UnmatchedModule[];
  /** How many modules were matched, by what told that they belong together. */
  readonly matchedBy: {
    /** They have one path. */
    readonly path: number;
    /** A prefix of their paths is one side's alone, or was mapped. */
    readonly prefix: number;
    /** Their nodes or weights are alike. */
    readonly structure: number;
  };
  /** The side to trust. */
  readonly reference: ComparedModel;
  /** The side that was judged. */
  readonly candidate: ComparedModel;
  /** Tolerances used, by the coarser dtype of the two sides. */
  readonly tolerance: Readonly<Record<string, { readonly rtol: number; readonly atol: number }>>;
  /** Bytes of activations that were kept in memory at most, and that went to disk. */
  readonly memory: {
    /** What was allowed. */
    readonly budgetByteLength: number;
    /** Most bytes at one time, those in use by a part that runs included. */
    readonly peakByteLength: number;
    /** Bytes that went to disk. */
    readonly spilledByteLength: number;
  };
  /** What else a reader should know. */
  readonly notes: readonly string[];
}
