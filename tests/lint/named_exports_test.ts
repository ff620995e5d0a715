// Star and default exports, refused and exempt.

import assert from "node:assert/strict";
import { findings } from "./lint_source.ts";

const RULE = "hookline/named-exports";

for (
  const source of [
    'export * from "./order.ts";',
    'export * as order from "./order.ts";',
    "export default 1;",
    "export default function order() {}",
    "const order = 1; export { order as default };",
    'export { default } from "./order.ts";',
  ]
) {
  Deno.test(`named-exports refuses: ${source}`, () => {
    assert.deepEqual(findings("hooks/registry.ts", source), [RULE]);
  });
}

for (
  const source of [
    "export const order = 1;",
    'export { a, type B } from "./order.ts";',
    'import order from "onnx-buf"; export { order };',
    'import * as order from "./order.ts"; export const a = order;',
  ]
) {
  Deno.test(`named-exports accepts: ${source}`, () => {
    assert.deepEqual(findings("hooks/registry.ts", source), []);
  });
}

Deno.test("named-exports lets a plugin's entry have a default, and no other file of it", () => {
  assert.deepEqual(findings("plugins/a/mod.ts", "export default 1;"), []);
  assert.deepEqual(findings("packages/a/mod.ts", "export default 1;"), []);
  assert.deepEqual(findings("plugins/a/residual.ts", "export default 1;"), [RULE]);
  assert.deepEqual(findings("plugins/a/mod.ts", 'export * from "./residual.ts";'), [RULE]);
});
