import assert from "node:assert/strict";
import { hashFiles } from "../../manifest/integrity.ts";
import { importFaults, valueImports } from "../../manifest/module_imports.ts";
import { withFolder, writePlugin } from "./_plugin_folders.ts";

Deno.test("valueImports() sees statements and calls, and passes types and comments over", () => {
  const source = `
import "./a.ts";
import b, { type C } from "./b.ts";
import * as d from "./d.ts";
import type { E } from "./e.ts";
import { type F, type G } from "./f.ts";
export { h } from "./h.ts";
export type { I } from "./i.ts";
// import "./line.ts";
/* import "./block.ts"; */
const j = await import("./j.ts");
import {
  k,
  l,
} from "./k.ts";
const text = 'from "./text.ts"';
`;
  assert.deepEqual(valueImports(source), [
    "./a.ts",
    "./b.ts",
    "./d.ts",
    "./h.ts",
    "./k.ts",
    "./j.ts",
  ]);
});

Deno.test("importFaults() tells what lies outside from what is not signed and from packages", async () => {
  await withFolder(async (folder) => {
    await writePlugin(folder, {
      code: `import "./lib/a.ts"; import "node:path"; import "./none.ts"; import "../x.ts";`,
      files: { "lib/a.ts": `import "../mod.ts";\nimport "pkg";`, "mod_test.ts": "" },
    });
    const faults = importFaults(folder, Object.keys(hashFiles(folder, "p").files));
    assert.deepEqual(faults.map(({ file, specifier, kind }) => [file, specifier, kind]), [
      ["./lib/a.ts", "pkg", "package"],
      ["./mod.ts", "./none.ts", "unsigned"],
      ["./mod.ts", "../x.ts", "outside"],
    ]);
  });
});
