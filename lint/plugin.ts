// The house rules as one lint plugin; deno.json names this file. Each rule says in its message which
// rule it is and in its hint what to do. Silence one place, with the reason, by
// `// deno-lint-ignore hookline/<rule> -- reason`.

import { denoEdges } from "./deno_edges.ts";
import { determinism } from "./determinism.ts";
import { fileLength, fileName } from "./files.ts";
import { layering, ortContainment } from "./layering.ts";
import { namedExports } from "./named_exports.ts";

/** The lint plugin `hookline`. */
const plugin: Deno.lint.Plugin = {
  name: "hookline",
  rules: {
    "deno-edges": denoEdges,
    "determinism": determinism,
    "file-length": fileLength,
    "file-name": fileName,
    "layering": layering,
    "named-exports": namedExports,
    "ort-containment": ortContainment,
  },
};

export default plugin;
