// One visitor for every way a module can name another: static, dynamic, type-only, re-exported and
// required. Rules say what to do with a specifier; they never walk the tree for imports themselves.

/** One place where a file names another module. */
export interface ImportSite {
  /** What stands between the quotes. */
  readonly specifier: string;
  /** True for `import("…")` and `require("…")`, which run only when reached. */
  readonly dynamic: boolean;
  /** The node to report. */
  readonly node: Deno.lint.Node;
}

/** A visitor that calls `visit` for each module that the file names by a literal. */
export function importVisitor(visit: (site: ImportSite) => void): Deno.lint.LintVisitor {
  const literal = (node: Deno.lint.Node | null | undefined, dynamic: boolean) => {
    if (node?.type === "Literal" && typeof node.value === "string") {
      visit({ specifier: node.value, dynamic, node });
    }
  };
  return {
    ImportDeclaration: (node) => literal(node.source, false),
    ExportNamedDeclaration: (node) => literal(node.source, false),
    ExportAllDeclaration: (node) => literal(node.source, false),
    ImportExpression: (node) => literal(node.source, true),
    TSImportType: (node) => {
      const argument = node.argument as Deno.lint.Node;
      literal(argument.type === "TSLiteralType" ? argument.literal : argument, false);
    },
    TSExternalModuleReference: (node) => literal(node.expression, false),
    CallExpression(node) {
      if (node.callee.type === "Identifier" && node.callee.name === "require") {
        literal(node.arguments[0], true);
      }
    },
  };
}
