// Where Deno.* may be touched.

import assert from "node:assert/strict";
import { DENO_EDGES } from "../../lint/deno_edges.ts";
import { diagnostics, findings } from "./lint_source.ts";

const SOURCE = "export const pid = Deno.pid;";

for (
  const path of ["graph/a.ts", "sessions/a.ts", "pipeline/a.ts", "formats/a.ts", "parity/a.ts"]
    .concat(["plugins/a/mod.ts", "mod.ts", "errors/a.ts", "tensor/a.ts"])
) {
  Deno.test(`deno-edges refuses Deno.* in ${path}`, () => {
    assert.deepEqual(findings(path, SOURCE), ["hookline/deno-edges"]);
    assert.deepEqual(findings(path, "export const d = globalThis.Deno;"), ["hookline/deno-edges"]);
  });
}

for (const edge of DENO_EDGES) {
  Deno.test(`deno-edges accepts Deno.* in ${edge}`, () => {
    assert.deepEqual(findings(`${edge}sample.ts`, SOURCE), []);
  });
}

Deno.test("deno-edges accepts Deno.* in the tests of a package, and nowhere else in it", () => {
  assert.deepEqual(findings("packages/a/mod_test.ts", SOURCE), []);
  assert.deepEqual(findings("packages/a/mod.ts", SOURCE), ["hookline/deno-edges"]);
});

Deno.test("deno-edges leaves members, strings and comments of that name alone", () => {
  const source = 'export const a = (x: { Deno: 1 }) => x.Deno + "Deno.pid"; // Deno.pid';
  assert.deepEqual(findings("graph/a.ts", source), []);
});

Deno.test("deno-edges says which folders are edges", () => {
  const [found] = diagnostics("graph/a.ts", SOURCE);
  assert.equal(found?.message, "deno-edges: graph/a.ts touches Deno");
  assert.match(found?.hint ?? "", /belongs to cli\/, .*sessions\/native\/$/);
});
