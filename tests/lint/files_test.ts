// File names and file lengths.

import assert from "node:assert/strict";
import { MAX_LINES, MAX_TEST_LINES } from "../../lint/files.ts";
import { findings } from "./lint_source.ts";

for (
  const path of [
    "hooks/index.ts",
    "hooks/utils.ts",
    "hooks/util.ts",
    "hooks/_helpers.ts",
    "hooks/common.ts",
    "hooks/types.ts",
    "tests/hooks/helpers_test.ts",
    "hooks/hookRegistry.ts",
    "hooks/hook-registry.ts",
    "hooks/HookRegistry.ts",
    "hooks/01_order.ts",
  ]
) {
  Deno.test(`file-name refuses ${path}`, () => {
    assert.deepEqual(findings(path, "export const a = 1;"), ["hookline/file-name"]);
  });
}

for (
  const path of [
    "mod.ts",
    "hooks/hook_registry.ts",
    "hooks/_snapshot.ts",
    "sessions/providers/cpu.ts",
    "plugins/first-block-cache/mod.ts",
    "examples/01_first_hook.ts",
    "tests/hooks/hook_registry_test.ts",
    "formats/types/ndarray.d.ts",
    "graph/type_names.ts",
  ]
) {
  Deno.test(`file-name accepts ${path}`, () => {
    assert.deepEqual(findings(path, "export const a = 1;"), []);
  });
}

const lines = (count: number) => "export {};\n" + "//\n".repeat(count - 1);

Deno.test("file-length allows 400 lines and refuses 401", () => {
  assert.equal(MAX_LINES, 400);
  assert.deepEqual(findings("hooks/order.ts", lines(400)), []);
  assert.deepEqual(findings("hooks/order.ts", lines(401)), ["hookline/file-length"]);
});

Deno.test("file-length allows a test 500 lines and refuses 501", () => {
  assert.equal(MAX_TEST_LINES, 500);
  assert.deepEqual(findings("tests/hooks/order_test.ts", lines(500)), []);
  assert.deepEqual(findings("tests/hooks/order_test.ts", lines(501)), ["hookline/file-length"]);
});
