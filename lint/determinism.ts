// hooks/ and graph/ give the same answer to the same input on every machine and in every run. This
// rule knows the names through which a clock, chance, locale, environment or timer gets in.

import { dottedName, isFreeName } from "./free_names.ts";
import { importVisitor } from "./import_visitor.ts";
import { layerOf, repoPath } from "./location.ts";

const LAYERS: readonly string[] = ["hooks", "graph"];

/** Forbidden globals and what to do instead. */
const GLOBALS: Readonly<Record<string, string>> = {
  Date: "take a clock as an argument",
  performance: "take a clock as an argument",
  console: "return the text, or take a sink as an argument",
  setTimeout: "take a timer as an argument, or move the wait to pipeline/",
  setInterval: "take a timer as an argument, or move the wait to pipeline/",
  setImmediate: "take a timer as an argument, or move the wait to pipeline/",
  Intl: "print numbers with String() and compare by code unit",
  crypto: "take the random source or the hash as an argument",
};

/** Forbidden members and what to do instead. */
const MEMBERS: Readonly<Record<string, string>> = {
  "Math.random": "take a seeded generator as an argument",
  "process.env": "take the setting as an argument",
  "Deno.env": "take the setting as an argument",
  "Promise.race": "await in a fixed order",
  "Promise.any": "await in a fixed order",
};

/** Methods that depend on the locale, whatever they are called on. */
const METHODS: Readonly<Record<string, string>> = {
  localeCompare: "compare by code unit: a < b ? -1 : a > b ? 1 : 0",
  toLocaleString: "print with String()",
  toLocaleLowerCase: "use toLowerCase()",
  toLocaleUpperCase: "use toUpperCase()",
};

/** Modules that carry a clock, a timer or the environment. */
const MODULES = /^node:(timers|perf_hooks|os|process)(\/|$)/;

/** No clock, chance, locale, environment, console or timer in hooks/ and graph/. */
export const determinism: Deno.lint.Rule = {
  create(context) {
    const from = repoPath(context.filename);
    const layer = layerOf(from);
    if (!LAYERS.includes(layer)) return {};
    const report = (node: Deno.lint.Node, name: string, hint: string) =>
      context.report({
        node,
        message: `determinism: ${from} uses ${name}`,
        hint: `${layer}/ gives the same bytes in every run; ${hint}`,
      });
    return {
      ...importVisitor(({ specifier, node }) => {
        if (MODULES.test(specifier)) report(node, specifier, "take what it gives as an argument");
      }),
      Identifier(node) {
        const hint = Object.hasOwn(GLOBALS, node.name) ? GLOBALS[node.name] : undefined;
        if (hint !== undefined && isFreeName(node)) report(node, node.name, hint);
      },
      MemberExpression(node) {
        const dotted = dottedName(node);
        if (dotted === undefined && node.property.type !== "Identifier") return;
        if (dotted !== undefined && Object.hasOwn(MEMBERS, dotted)) {
          report(node, dotted, MEMBERS[dotted] ?? "");
        }
        const property = node.property.type === "Identifier" ? node.property.name : "";
        if (dotted?.startsWith("globalThis.") && Object.hasOwn(GLOBALS, property)) {
          report(node, dotted, GLOBALS[property] ?? "");
        }
        if (!node.computed && Object.hasOwn(METHODS, property)) {
          report(node, property, METHODS[property] ?? "");
        }
      },
    };
  },
};
