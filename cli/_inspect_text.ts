// The tree of `hookline inspect` for people: one line a module, path segments indented.

import type { GraphModule } from "../graph/graph_module.ts";
import type { Style } from "./_console.ts";
import type { InspectDocument, ModuleDocument, ValueDocument } from "./inspect.ts";
import { bytesText, countText, plural, specText } from "./_units.ts";

const HEADINGS: readonly string[] = ["module", "class", "nodes", "calls", "params", "size", "cut"];
/** Columns of numbers stand at the right. */
const RIGHT: readonly number[] = [2, 3, 4, 5];

/** The text of `hookline inspect`. `modules` are those of the document, with their parents. */
export function inspectText(
  document: InspectDocument,
  modules: readonly GraphModule[],
  style: Style,
): string {
  const { model } = document;
  const opsets = Object.entries(model.opsets).map(([domain, version]) => `${domain} ${version}`);
  const facts = [
    `${bytesText(model.fileBytes)}, ${bytesText(model.weightBytes)} of it in ${
      plural(model.weightTensors, "weight tensor")
    }`,
    plural(model.nodes, "node"),
    `IR ${model.irVersion}`,
    `opset ${opsets.join(", ") || "none"}`,
    ...(model.producer === "" ? [] : [model.producer]),
  ];
  // Weights of another file are no part of this one.
  if (model.weightBytes > model.fileBytes) {
    facts[0] = `${bytesText(model.fileBytes)} and ${bytesText(model.weightBytes)} in ${
      plural(model.weightTensors, "weight tensor")
    }`;
  }
  return [
    style.bold(model.path),
    `  ${facts.join(", ")}`,
    ...valueLines("inputs", model.inputs),
    ...valueLines("outputs", model.outputs),
    "",
    ...treeLines(document.modules, modules, style),
    "",
    evidenceLine(document),
  ].join("\n");
}

function valueLines(title: string, values: readonly ValueDocument[]): string[] {
  return values.map((value, index) =>
    `  ${(index === 0 ? title : "").padEnd(8)}${
      specText({ ...value, isTensor: value.dtype !== null })
    }`
  );
}

function treeLines(
  documents: readonly ModuleDocument[],
  modules: readonly GraphModule[],
  style: Style,
): string[] {
  const parents = new Map(modules.map((module) => [module.path, module.parent]));
  const reasons = new Map<string | null, string | null>(
    documents.map((module) => [module.path, module.reason]),
  );
  const rows = documents.map((module) => rowOf(module, parents));
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0))
  );
  const lineOf = (row: readonly string[]): string =>
    row.map((cell, column) =>
      RIGHT.includes(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)
    ).join("  ").trimEnd();
  return [
    `  ${style.dim(lineOf([...HEADINGS, "block"]))}`,
    ...documents.map((module, index) => {
      const row = rows[index] as readonly string[];
      // A list of modules needs no excuse for not being cut, and what holds for a module's insides is
      // said at the module.
      const { reason } = module;
      const isNews = reason !== null && module.calls > 0 &&
        reasons.get(parents.get(module.path) ?? null) !== reason;
      return `  ${lineOf(row)}${isNews ? style.dim(`  ${reason}`) : ""}`;
    }),
  ];
}

function rowOf(module: ModuleDocument, parents: ReadonlyMap<string, string | null>): string[] {
  let depth = 0;
  const parent = parents.get(module.path) ?? null;
  for (let at: string | null = parent; at !== null; at = parents.get(at) ?? null) depth++;
  const name = parent === null || parent === ""
    ? module.path
    : module.path.slice(parent.length).replace(/^\./, "");
  const isCalled = module.calls > 0;
  return [
    `${"  ".repeat(depth)}${module.path === "" ? "(the model)" : name}`,
    module.class ?? "",
    isCalled ? String(module.nodes) : "",
    isCalled ? String(module.calls) : "",
    module.parameters > 0 ? countText(module.parameters) : "",
    module.parameters > 0 ? bytesText(module.parameterBytes) : "",
    !isCalled ? "" : module.cuttable ? "yes" : "no",
    module.block ?? "",
  ];
}

function evidenceLine({ evidence }: InspectDocument): string {
  const names: Readonly<Record<string, string>> = {
    metadata: "metadata",
    nodeNames: "node names",
    valueNames: "value names",
    parameterNames: "parameter names",
    functions: "functions",
    topology: "topology",
    user: "you",
  };
  const named = Object.entries(evidence).filter(([key, count]) => key in names && count > 0);
  const total = Object.values(evidence).reduce((sum, count) => sum + count, 0);
  const parts = named.map(([key, count]) => `${count} by ${names[key]}`);
  if (evidence.unassigned > 0) parts.push(`${evidence.unassigned} in no module but the model`);
  return `named: ${parts.join(", ")} (${plural(total, "live node")})`;
}
