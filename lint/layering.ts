// Imports run one way. The table below is the architecture picture in a form that a machine holds:
// change it together with ARCHITECTURE.md. It knows folders, never single symbols.

import { importVisitor } from "./import_visitor.ts";
import { type Layer, layerOf, pluginOf, repoPath, resolveImport } from "./location.ts";

/** What graph/ and hooks/ stand on: they read no environment, so not host/. */
const PURE: readonly Layer[] = ["errors", "tensor"];
const BASE: readonly Layer[] = [...PURE, "host"];

/** Which other layers each layer may import. `*` is everything. */
export const MAY_IMPORT: Readonly<Record<Layer, readonly Layer[] | "*">> = {
  errors: [],
  tensor: ["errors"],
  host: ["errors"],
  graph: PURE,
  hooks: PURE,
  sessions: BASE,
  formats: BASE,
  manifest: [...BASE, "hooks"],
  pipeline: [...BASE, "graph", "hooks", "sessions", "formats", "manifest"],
  parity: [...BASE, "graph", "hooks", "sessions", "formats", "pipeline"],
  testing: [...BASE, "graph", "hooks", "sessions", "manifest", "pipeline"],
  plugins: ["mod", "formats"],
  packages: ["mod", "testing"],
  mod: [
    ...BASE,
    "graph",
    "hooks",
    "sessions",
    "formats",
    "manifest",
    "pipeline",
    "parity",
  ],
  examples: ["mod", "plugins", "formats", "cli"],
  cli: "*",
  tests: "*",
  bench: "*",
  demo: "*",
  lint: [],
};

/** The one plugin that the environment can switch on, and who may then load it. */
const SWITCHED_PLUGIN = /^plugins\/activation[-_]trace\/mod\.ts$/;
const SWITCHED_BY: readonly Layer[] = ["pipeline", "mod"];

/** Packages that are ONNX Runtime. */
const ORT_PACKAGE = /^(npm:)?onnxruntime-(node|web|common)(@[^/]*)?(\/|$)/;
/** The one file that may import ONNX Runtime, and the layers that need not care. */
const ORT_LOADER = "sessions/ort_loader.ts";
const ORT_EXEMPT: readonly Layer[] = ["tests", "bench"];

/** Why `from` may not import `specifier`, or undefined when it may. */
function refusal(
  from: string,
  specifier: string,
  dynamic: boolean,
): { message: string; hint: string } | undefined {
  const layer = layerOf(from);
  const allowed = MAY_IMPORT[layer];
  if (allowed === undefined) {
    return {
      message: `layering: ${from} lies in no known layer`,
      hint: "Move the file into a folder of ARCHITECTURE.md, or add the folder to lint/layering.ts",
    };
  }
  const target = resolveImport(from, specifier);
  if (target === undefined) return undefined;
  const targetLayer = layerOf(target);
  if (layer === "examples" && specifier.startsWith(".")) {
    return {
      message: `layering: the example ${from} imports ${target} by path`,
      hint: 'Import it as a reader would: from "@hookline/hookline" or one of its sub-paths',
    };
  }
  if (layer === "plugins" && targetLayer === "plugins") {
    if (pluginOf(from) === pluginOf(target)) return undefined;
    return {
      message: `layering: the plugin ${pluginOf(from)} imports ${target} of another plugin`,
      hint: "A plugin imports mod.ts, formats/ and its own folder; move shared code to one of them",
    };
  }
  if (targetLayer === layer || allowed === "*" || allowed.includes(targetLayer)) return undefined;
  if (dynamic && SWITCHED_PLUGIN.test(target) && SWITCHED_BY.includes(layer)) return undefined;
  return {
    message: `layering: ${from} may not import ${target}`,
    hint: `${layer}/ may import ${allowed.length === 0 ? "no other layer" : allowed.join(", ")}; ` +
      "move what is shared down to a layer that both may import, or pass the value in from above",
  };
}

/** Imports follow the layers of ARCHITECTURE.md. */
export const layering: Deno.lint.Rule = {
  create(context) {
    const from = repoPath(context.filename);
    return importVisitor(({ specifier, dynamic, node }) => {
      const refused = refusal(from, specifier, dynamic);
      if (refused !== undefined) context.report({ node, ...refused });
    });
  },
};

/** Only the loader imports ONNX Runtime. */
export const ortContainment: Deno.lint.Rule = {
  create(context) {
    const from = repoPath(context.filename);
    if (from === ORT_LOADER || ORT_EXEMPT.includes(layerOf(from))) return {};
    return importVisitor(({ specifier, node }) => {
      if (!ORT_PACKAGE.test(specifier)) return;
      context.report({
        node,
        message: `ort-containment: ${from} imports ${specifier}`,
        hint: `Only ${ORT_LOADER} imports ONNX Runtime; take what you need, types too, from there`,
      });
    });
  },
};
