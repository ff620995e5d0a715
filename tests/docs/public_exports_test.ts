// Widening the public face is a decision, so the list of exported names is kept and compared.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { skippable, untilPresent } from "../skippable.ts";
import { currentExports, EXPORT_LIST, type ExportList } from "./public_exports.ts";

Deno.test({
  ...skippable(
    "the package exports what tests/docs/public_exports.json lists, name by name",
    untilPresent("tests/docs/public_exports.json", existsSync(EXPORT_LIST)),
  ),
  async fn() {
    const agreed: ExportList = JSON.parse(readFileSync(EXPORT_LIST, "utf8"));
    for (const { count, names } of Object.values(agreed)) assert.equal(names.length, count);
    assert.deepEqual(await currentExports(), agreed, "if meant: deno task docs:update");
  },
});
