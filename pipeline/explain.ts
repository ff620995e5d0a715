// A plan in words for people: one line says what runs, the following lines why.

import type { PlanDocument } from "./planner.ts";
import { explainResidency } from "./residency/explain_residency.ts";

/** Facts about the model that a plan does not hold. */
export interface ExplainContext {
  readonly engine: string;
  /** Why this engine was chosen. */
  readonly engineReason: string;
  /** Why this provider was chosen. */
  readonly provider: string;
}

/** The text of `model.explain()`. */
export function explainPlan(document: PlanDocument, context: ExplainContext): string {
  const lines = [headline(document)];
  for (const reason of document.because) lines.push(`  ${reason}`);
  if (document.plan === "split") {
    document.segments.forEach((segment, index) => {
      const where = segment.modules.length === 0 ? `${segment.nodes} nodes` : list(segment.modules);
      lines.push(
        `  segment ${index}: ${where}${
          segment.taps.length > 0 ? `, ${count(segment.taps.length, "tap")}` : ""
        }`,
      );
    });
  }
  for (const [module, hooks] of Object.entries(document.order)) {
    if (hooks.length > 1) {
      lines.push(`  order at ${module === "" ? "the whole model" : module}: ${hooks.join(", ")}`);
    }
  }
  if (document.residency !== undefined) {
    for (const line of explainResidency(document.residency)) lines.push(`  ${line}`);
  }
  if (document.mayEndFusions.length > 0) lines.push(`  ${fusionLine(document.mayEndFusions)}`);
  lines.push(`engine ${context.engine}: ${context.engineReason}`);
  lines.push(`provider: ${context.provider}`);
  lines.push(`plan ${document.planHash.slice(0, 12)}`);
  return lines.join("\n");
}

function headline(document: PlanDocument): string {
  switch (document.plan) {
    case "whole":
      return "whole: no hooks, the file runs untouched in one session";
    case "tapped": {
      const taps = document.segments.reduce((sum, segment) => sum + segment.taps.length, 0);
      return `tapped: one session with ${count(taps, "further output")}`;
    }
    case "split":
      return `split: ${count(document.segments.length, "segment")}`;
  }
}

/** The warning that the last digits may change, with what to do about it. */
function fusionLine(risks: PlanDocument["mayEndFusions"]): string {
  const pairs = [...new Set(risks.map((risk) => risk.operators))].sort();
  const verb = risks.length === 1 ? "stands" : "stand";
  return `${
    count(risks.length, "tap or cut", "taps or cuts")
  } ${verb} where ONNX Runtime may fuse ` +
    `(${pairs.join(", ")}): the last digits may change, "hookline verify" measures`;
}

function list(modules: readonly string[]): string {
  const named = modules.map((path) => path === "" ? "the whole model" : path);
  return named.length <= 4
    ? named.join(", ")
    : `${named.slice(0, 3).join(", ")} and ${named.length - 3} more`;
}

function count(number: number, noun: string, nouns = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : nouns}`;
}
