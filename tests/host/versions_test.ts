// Which Hookline this is.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { HOOKLINE_VERSION, runtimeVersion } from "../../host/versions.ts";
import { ROOT } from "../suites.ts";

Deno.test("HOOKLINE_VERSION is the version of deno.json", () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
  assert.equal(HOOKLINE_VERSION, version);
});

Deno.test("runtimeVersion() names the runtime and its version", () => {
  assert.equal(runtimeVersion(), `deno ${Deno.version.deno}`);
});
