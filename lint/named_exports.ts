// A reader finds what a file gives by its names. No star re-exports, no default exports; a plugin's
// entry may have a default, because a host loads it without knowing a name.

import { repoPath } from "./location.ts";

/** Files that must have a default export: plugin entries, and the entry of this lint plugin. */
const DEFAULT_ALLOWED = /^((?:plugins|packages)\/[^/]+\/mod\.ts|lint\/plugin\.ts)$/;

/** Every export has a name and is listed. */
export const namedExports: Deno.lint.Rule = {
  create(context) {
    const from = repoPath(context.filename);
    const defaultExport = (node: Deno.lint.Node) => {
      if (DEFAULT_ALLOWED.test(from)) return;
      context.report({
        node,
        message: `named-exports: ${from} has a default export`,
        hint:
          "Export it by name; only plugins/*/mod.ts and packages/*/mod.ts may have a default export",
      });
    };
    return {
      ExportAllDeclaration(node) {
        context.report({
          node,
          message: `named-exports: ${from} re-exports everything of a module`,
          hint: "List the names: export { a, b } from …",
        });
      },
      ExportDefaultDeclaration: defaultExport,
      ExportSpecifier(node) {
        const exported = node.exported as Deno.lint.Node;
        const name = exported.type === "Identifier" ? exported.name : undefined;
        if (name === "default") defaultExport(node);
      },
    };
  },
};
