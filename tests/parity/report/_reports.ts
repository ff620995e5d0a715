// A made-up comparison that holds every odd thing a report may hold, and what is read back out of a page.

import type {
  ComparedModel,
  ComparedTensor,
  CompareReport,
  TensorError,
} from "../../../parity/compare/compare_report.ts";
import type { PageData } from "../../../parity/report/_report_content.ts";

/** A name that would be a script, an end of one, an attribute's end, and text that runs backwards. */
export const HOSTILE = `<script>alert(1)</script>"'&<!--\u202egnp.\n</title>`;

/** An error of so many tolerances. */
export function errorOf(ratio: number): TensorError {
  return {
    maxAbs: ratio * 1e-5,
    maxRel: ratio * 1e-5,
    cosine: ratio === 0 ? 1 : 0.999,
    sqnrDb: ratio === 0 ? Infinity : 40,
    maxUlp: ratio * 10,
    nanCandidate: ratio === Infinity ? 3 : 0,
    nanReference: 0,
    differing: ratio === 0 ? 0 : 6,
    elements: 12,
    scale: 1,
    ratio,
  };
}

/** A module's row: two numbers, or null for what could not be had. */
export function comparedTensor(
  module: string,
  [inherited, local]: readonly [number | null, number | null],
  fields: Partial<ComparedTensor> = {},
): ComparedTensor {
  return {
    module,
    className: "Linear",
    call: 0,
    tensor: `${module}_output_0`,
    dtype: "float32",
    shape: [3, 4],
    inherited: inherited === null ? null : errorOf(inherited),
    local: local === null ? null : errorOf(local),
    own: null,
    histogram: local === null ? null : [6, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0],
    ...fields,
  };
}

const SIDE: ComparedModel = {
  path: "reference.onnx",
  structureHash: "0123abcd",
  nodes: 10,
  modules: 4,
  engine: "napi",
  provider: "cpu",
  optimization: "all",
};

/** A report of these rows; those named in `guilty` introduce an error. */
export function madeReport(
  modules: readonly ComparedTensor[],
  guilty: readonly string[] = [],
  fields: Partial<CompareReport> = {},
): CompareReport {
  return {
    status: guilty.length > 0 ? "diverged" : "same",
    introducedBy: guilty.map((module) => ({
      module,
      className: "Linear",
      call: 0,
      local: modules.find((row) => row.module === module)?.local ?? errorOf(Infinity),
      nodes: 2,
    })),
    modules,
    onlyReference: [],
    onlyCandidate: [],
    matchedBy: { path: modules.length, prefix: 0, structure: 0 },
    reference: SIDE,
    candidate: { ...SIDE, path: "candidate.onnx" },
    tolerance: { float32: { rtol: 1e-5, atol: 1e-5 } },
    memory: { budgetByteLength: 1024, peakByteLength: 512, spilledByteLength: 0 },
    notes: [],
    ...fields,
  };
}

/** Every odd thing at once: hostile names, several calls and tensors, infinities, and what could not be had. */
export function oddReport(): CompareReport {
  const rows = [
    comparedTensor("a.b", [0, 0]),
    comparedTensor("a.b", [0.5, 0.5], { call: 1 }),
    comparedTensor(`a.${HOSTILE}`, [300, 300], { className: HOSTILE, tensor: HOSTILE }),
    comparedTensor("a.c", [200, 0.5], { candidateModule: "x.c", candidateDtype: "float16" }),
    comparedTensor("a.d", [null, null], { problem: `no partner for ${HOSTILE}` }),
    comparedTensor("a", [Infinity, Infinity], { own: errorOf(0) }),
    comparedTensor("a", [20, 5], { tensor: "second", own: errorOf(0.5) }),
    comparedTensor("", [Infinity, Infinity]),
  ];
  return madeReport(rows, [`a.${HOSTILE}`], {
    onlyReference: [{ module: HOSTILE, className: HOSTILE, why: HOSTILE }],
    notes: [HOSTILE],
    candidate: { ...SIDE, path: HOSTILE },
  });
}

/** What the page's script is given, out of the page. */
export function dataOf(html: string): PageData {
  const text = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(html)?.[1];
  return JSON.parse(text ?? "") as PageData;
}
