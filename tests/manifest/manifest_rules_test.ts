import assert from "node:assert/strict";
import { manifestIssues } from "../../manifest/manifest_rules.ts";
import { readSchema } from "../../manifest/manifest_schema.ts";
import { manifestFields, transformerFields } from "./_plugin_folders.ts";

function issuesOf(
  fields: Record<string, unknown>,
): readonly { pointer: string; message: string }[] {
  const read = readSchema(fields);
  assert.ok("manifest" in read, JSON.stringify(read));
  return manifestIssues(read.manifest);
}

const REASON = "because";

Deno.test("manifestIssues() finds nothing wrong with manifests that are right", () => {
  assert.deepEqual(issuesOf(manifestFields()), []);
  assert.deepEqual(issuesOf(transformerFields()), []);
  assert.deepEqual(
    issuesOf(manifestFields({
      kind: "replacer",
      hooks: ["replace", "skip"],
      permissions: [
        { id: "replace-forward", modules: ["**"], reason: REASON },
        { id: "skip-forward", modules: ["**"], reason: REASON },
      ],
    })),
    [],
  );
  assert.deepEqual(
    issuesOf(manifestFields({
      kind: "resident",
      factory: "make",
      hooks: ["load", "unload"],
      permissions: [{ id: "manage-residency", reason: REASON }],
    })),
    [],
  );
});

Deno.test("manifestIssues() points at every contradiction", () => {
  const read = { id: "read-activations", level: "values", modules: ["**"], reason: REASON };
  const cases: readonly (readonly [Record<string, unknown>, string, RegExp])[] = [
    [manifestFields({ version: "1.0" }), "/version", /1\.0/],
    [manifestFields({ main: "./mod_test.ts" }), "/main", /no hash covers/],
    [manifestFields({ main: "./.hidden/mod.ts" }), "/main", /no hash covers/],
    [
      manifestFields({
        kind: "resident",
        hooks: ["load"],
        permissions: [{ id: "manage-residency", reason: REASON }],
      }),
      "/kind",
      /needs a factory/,
    ],
    [manifestFields({ apiVersion: "newest" }), "/apiVersion", /newest/],
    [manifestFields({ engines: { deno: "x>" } }), "/engines/deno", /x>/],
    [manifestFields({ hooks: ["post"] }), "/hooks/0", /an observer may have/],
    [manifestFields({ hooks: ["error"] }), "/hooks", /no hook that ever runs/],
    [manifestFields({ hooks: ["pre", "pre"] }), "/hooks/1", /twice/],
    [manifestFields({ hooks: ["observe:raw", "observe:final"] }), "/hooks", /exclude each other/],
    [manifestFields({ factory: "make", isolation: "worker" }), "/isolation", /inline only/],
    [manifestFields({ permissions: [read, read] }), "/permissions/1/id", /twice/],
    [
      manifestFields({
        permissions: [{ id: "write-activations", modules: ["**"], reason: REASON }],
      }),
      "/permissions/0/id",
      /does not write/,
    ],
    [
      manifestFields({ permissions: [{ id: "skip-forward", modules: ["**"], reason: REASON }] }),
      "/permissions/0/id",
      /without the hook skip/,
    ],
    [transformerFields({ permissions: [read] }), "/permissions", /needs "write-activations"/],
    [
      manifestFields({ kind: "replacer", hooks: ["replace"], permissions: [] }),
      "/permissions",
      /needs the permission "replace-forward"/,
    ],
    [
      transformerFields({
        permissions: [read, { id: "write-activations", modules: ["a.*"], reason: REASON }],
      }),
      "/permissions/1/modules",
      /the same modules/,
    ],
    [transformerFields({ order: { before: ["doubler"] } }), "/order/before/0", /itself/],
    [manifestFields({ order: { after: ["other"] } }), "/order/after/0", /outside the order/],
  ];
  for (const [fields, pointer, message] of cases) {
    const issue = issuesOf(fields).find((one) => one.pointer === pointer);
    assert.ok(issue !== undefined, `${pointer}: ${JSON.stringify(issuesOf(fields))}`);
    assert.match(issue.message, message);
  }
});

Deno.test("manifestIssues() lets a factory have observers beside its hooks", () => {
  const fields = transformerFields({ factory: "make", hooks: ["post", "observe:final"] });
  assert.deepEqual(issuesOf(fields), []);
  assert.equal(issuesOf({ ...fields, factory: null })[0]?.pointer, "/hooks/1");
});
