// From a finished comparison to a folder to hand over: the module that brings the error in, taken apart.
// What is written is in call_repro.ts; here is which call, and what is known of the values at its border.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { IntroducingModule } from "../compare/compare_report.ts";
import type { CompareEvidence } from "../compare/evidence.ts";
import type { CallPair } from "../compare/module_pairs.ts";
import { type Repro, writeCallRepro } from "./call_repro.ts";

/**
 * Writes the smallest part that shows the error of the module that introduces the worst one, into a folder:
 * `candidate.onnx`, the same part of the reference, inputs and outputs, `run.mjs` for plain
 * onnxruntime-node, and `ISSUE.md`. Where that module does not show its error in parts that run alone, the
 * next worst is taken.
 *
 * @throws {HooklineError} REPRO_NOT_SHOWN when no module introduces an error, or none shows it alone;
 * REPRO_TOO_LARGE; FILE_WRITE; and what running the models throws.
 */
export async function writeRepro(evidence: CompareEvidence, directory: string): Promise<Repro> {
  let failure: unknown = null;
  for (const introducing of evidence.report.introducedBy) {
    try {
      return await writeCallRepro(requestOf(evidence, introducing), directory);
    } catch (error) {
      if (!(error instanceof HooklineError) || error.code !== "REPRO_NOT_SHOWN") throw error;
      failure ??= error;
    }
  }
  throw failure ?? new HooklineError("REPRO_NOT_SHOWN", {
    message: "cannot write a repro: no module of the candidate introduces an error",
    fix: "leave --repro out, or lower --rtol and --atol",
    details: { status: evidence.report.status },
  });
}

function requestOf(
  evidence: CompareEvidence,
  { module, className, call }: IntroducingModule,
): Parameters<typeof writeCallRepro>[0] {
  const { reference, candidate, match, values } = evidence;
  const pair = match.pairs.find((one) => one.module === module && one.call === call) as CallPair;
  const partners = new Map<string, string>();
  const inside = new Set(pair.candidate.nodes);
  for (const inner of match.pairs) {
    if (!inner.candidate.nodes.every((node) => inside.has(node))) continue;
    for (const value of [...inner.candidate.inputs, ...inner.candidate.outputs]) {
      const partner = values.partnerOf(value);
      if (partner !== undefined) partners.set(value, partner);
    }
  }
  return {
    module,
    className,
    call,
    reference: { host: reference, feeds: reference.feeds, nodes: pair.reference.nodes },
    candidate: { host: candidate, feeds: candidate.feeds, nodes: pair.candidate.nodes },
    outputs: pair.candidate.outputs.filter((value) => partners.has(value)),
    partners,
    scope: evidence.ownNodes(pair),
    toleranceOf: evidence.tolerance,
  };
}
