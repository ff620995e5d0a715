// The core runs on every runtime with web and node: APIs; only the edges listed here may speak to
// Deno itself. Knows the name `Deno`, nothing of what is done with it.

import { dottedName, isFreeName } from "./free_names.ts";
import { repoPath } from "./location.ts";

/** The folders that may touch `Deno.*`. */
export const DENO_EDGES: readonly string[] = [
  "cli/",
  "demo/",
  "tests/",
  "bench/",
  "examples/",
  "host/",
  "manifest/",
  "sessions/mapped_weights/",
  "sessions/native/",
  "lint/",
];

/** `Deno.*` only at the edges. */
export const denoEdges: Deno.lint.Rule = {
  create(context) {
    const from = repoPath(context.filename);
    // A package brings its own tests, which no other folder does.
    if (/^packages\/.*_test\.ts$/.test(from)) return {};
    if (DENO_EDGES.some((edge) => from.startsWith(edge))) return {};
    const report = (node: Deno.lint.Node) =>
      context.report({
        node,
        message: `deno-edges: ${from} touches Deno`,
        hint: `Use a web or node: API here, or take the value as an argument; Deno.* belongs to ` +
          DENO_EDGES.filter((edge) => edge !== "lint/").join(", "),
      });
    return {
      Identifier(node) {
        if (node.name === "Deno" && isFreeName(node)) report(node);
      },
      MemberExpression(node) {
        if (dottedName(node) === "globalThis.Deno") report(node);
      },
    };
  },
};
