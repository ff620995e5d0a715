import assert from "node:assert/strict";
import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deniedChecks, dropChecks } from "../../../manifest/isolation/runtime_audit.ts";
import { specOf } from "./_hosting.ts";

Deno.test("deniedChecks() are those that the rights do not allow, each once", () => {
  const path = join(mkdtempSync(join(tmpdir(), "hookline-checks-")), "checks.jsonl");
  const lines = [
    ["read", "/plugin/mod.ts"],
    ["read", "/plugin"],
    ["read", "/plugin2/mod.ts"],
    ["read", null],
    ["env", "GRANTED"],
    ["env", "HOME"],
    ["net", "example.com:443"],
    ["net", "example.com.evil:443"],
    ["ffi", "/lib/x.so"],
    ["ffi", "/lib/x.so"],
  ].map(([permission, value]) => JSON.stringify({ v: 1, permission, value }));
  writeFileSync(path, [...lines, '{"v":1,"permi'].join("\n"));
  const spec = specOf("", { rights: { env: ["GRANTED"], net: ["example.com"] } });
  assert.deepEqual(deniedChecks(path, spec, ["/plugin"]), [
    { permission: "read", value: "/plugin2/mod.ts" },
    { permission: "read", value: null },
    { permission: "env", value: "HOME" },
    { permission: "net", value: "example.com.evil:443" },
    { permission: "ffi", value: "/lib/x.so" },
  ]);
  dropChecks(path);
  assert.equal(existsSync(path), false);
  assert.deepEqual(deniedChecks(path, spec, ["/plugin"]), []);
});
