import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readSchema } from "../../manifest/manifest_schema.ts";
import { manifestFields } from "./_plugin_folders.ts";
import { SCHEMA_FILE, schemaText } from "./_schema_document.ts";

Deno.test("manifest/plugin.schema.json is what the schema in code generates", () => {
  // Written anew by: deno run -A tests/manifest/_schema_document.ts && deno fmt manifest/plugin.schema.json
  assert.deepEqual(JSON.parse(readFileSync(SCHEMA_FILE, "utf8")), JSON.parse(schemaText()));
});

Deno.test("readSchema() fills in defaults, drops $schema and freezes all of it", () => {
  const read = readSchema(manifestFields({ $schema: "x.json" }));
  assert.ok("manifest" in read);
  const { manifest } = read;
  assert.equal(Object.hasOwn(manifest, "$schema"), false);
  assert.equal(manifest.integrity, null);
  assert.equal(manifest.factory, null);
  assert.equal(manifest.isolation, "inline");
  assert.deepEqual(manifest.match, { modules: ["**"], exclude: [], eps: [], dtypes: [] });
  assert.deepEqual(manifest.order, { before: [], after: [], requires: [] });
  assert.ok(Object.isFrozen(manifest) && Object.isFrozen(manifest.permissions[0]));
});

const READ = { id: "read-activations", level: "values", modules: ["**"], reason: "r" };

Deno.test("readSchema() refuses bounds that JSON can write and no number can hold", () => {
  const text = JSON.stringify(manifestFields({ budgets: { msPerCall: 1 } }));
  const read = readSchema(JSON.parse(text.replace('"msPerCall":1', '"msPerCall":1e999')));
  assert.ok("issues" in read);
  assert.equal(read.issues[0]?.pointer, "/budgets/msPerCall");
});

Deno.test("readSchema() points at what is wrong", () => {
  const cases: readonly (readonly [Record<string, unknown>, string, RegExp])[] = [
    [{ manifestVersion: 2 }, "/manifestVersion", /wanted is 1/],
    [{ name: "Bad Name" }, "/name", /"Bad Name"/],
    [{ kind: "spy" }, "/kind", /"spy"/],
    [{ extra: 1 }, "/extra", /no such field/],
    [{ main: "../mod.ts" }, "/main", /found "..\/mod.ts"/],
    [{ main: "/etc/passwd" }, "/main", /found/],
    [{ main: "./a/../../b.ts" }, "/main", /found/],
    [{ integrity: { "./mod.ts": "md5-1" } }, "/integrity/.~1mod.ts", /md5-1/],
    [{ name: "constructor" }, "/name", /"constructor"/],
    [{ description: "\u001b[2Jnothing" }, "/description", /found "\?\[2Jnothing", .* no control/],
    [{ description: " " }, "/description", /blank/],
    [{ license: "\u202eTIM" }, "/license", /found "\?TIM"/],
    [{ main: "./a\nb.ts" }, "/main", /a\?b/],
    [{ permissions: [{ ...READ, reason: "\rnothing" }] }, "/permissions/0/reason", /\?nothing/],
    [{ permissions: [{ ...READ, modules: ["a\u009b"] }] }, "/permissions/0/modules/0", /a\?/],
    [{ budgets: { msPerCall: -1 } }, "/budgets/msPerCall", /-1/],
    [{ budgets: { msPerCall: 2 ** 31 } }, "/budgets/msPerCall", /2147483648/],
    [{ budgets: { retainedBytes: 1e300 } }, "/budgets/retainedBytes", /1e\+300/],
    [{ budgets: { outputBytes: 0.5 } }, "/budgets/outputBytes", /0\.5/],
    [{ numerics: { tolerant: { atol: 1 } } }, "/numerics", /"transparent"/],
    [{ hooks: [] }, "/hooks", /found 0/],
    [{ permissions: [{ id: "ffi", reason: "x" }] }, "/permissions/0/id", /"ffi"/],
    [{ permissions: [{ id: "net", hosts: ["a.b"] }] }, "/permissions/0/reason", /missing/],
    [
      { permissions: [{ id: "fs-write", paths: ["$OUT/../x"], reason: "r" }] },
      "/permissions/0/paths/0",
      /\$OUT/,
    ],
    [{ permissions: [{ id: "env", names: ["*"], reason: "r" }] }, "/permissions/0/names/0", /"\*"/],
    [{ license: undefined }, "/license", /missing/],
  ];
  for (const [changes, pointer, message] of cases) {
    const fields = JSON.parse(JSON.stringify(manifestFields(changes)));
    const read = readSchema(fields);
    assert.ok("issues" in read, pointer);
    const issue = read.issues.find((one) => one.pointer === pointer);
    assert.ok(issue !== undefined, `${pointer}: ${JSON.stringify(read.issues)}`);
    assert.match(issue.message, message);
  }
});

Deno.test("readSchema() refuses what is no object", () => {
  for (const value of [null, [], "text", 1]) assert.ok("issues" in readSchema(value));
});
