import assert from "node:assert/strict";
import { coverage, grantText, withoutReason } from "../../manifest/permission_scope.ts";
import type { Grant } from "../../manifest/plugin_manifest.ts";

const read = (level: "shape" | "stats" | "values", ...modules: string[]): Grant => ({
  id: "read-activations",
  level,
  modules,
});

Deno.test("coverage() is full when each item of each list is covered", () => {
  const cases: readonly (readonly [Grant, Grant, boolean])[] = [
    [read("stats", "a.*"), read("values", "**"), true],
    [read("values", "a.*"), read("stats", "**"), false],
    [read("stats", "a.*", "b.*"), read("stats", "a.*"), false],
    [
      { id: "write-activations", modules: ["a"], shape: "preserve" },
      { id: "write-activations", modules: ["a"], shape: "any" },
      true,
    ],
    [
      { id: "write-activations", modules: ["a"], shape: "any" },
      { id: "write-activations", modules: ["a"], shape: "preserve" },
      false,
    ],
    [{ id: "skip-forward", modules: ["a"] }, { id: "replace-forward", modules: ["a"] }, false],
    [{ id: "read-inputs", tensors: ["ids"] }, { id: "read-inputs", tensors: ["*"] }, true],
    [{ id: "read-inputs", tensors: ["*"] }, { id: "read-inputs", tensors: ["ids"] }, false],
    [{ id: "fs-write", paths: ["$OUT/a/b"] }, { id: "fs-write", paths: ["$OUT/a/"] }, true],
    [{ id: "fs-write", paths: ["$OUT/ab"] }, { id: "fs-write", paths: ["$OUT/a"] }, false],
    [{ id: "fs-write", paths: ["/"] }, { id: "fs-write", paths: ["$OUT/"] }, false],
    [{ id: "env", names: ["APP_KEY"] }, { id: "env", names: ["APP_*"] }, true],
    [{ id: "env", names: ["APP_*"] }, { id: "env", names: ["APP_KEY"] }, false],
    [{ id: "net", hosts: ["a.b:443"] }, { id: "net", hosts: ["a.b"] }, true],
    [{ id: "net", hosts: ["a.b"] }, { id: "net", hosts: ["a.b:443"] }, false],
    [{ id: "net", hosts: ["evil-a.b"] }, { id: "net", hosts: ["a.b"] }, false],
    [{ id: "manage-residency" }, { id: "manage-residency" }, true],
  ];
  for (const [asked, granted, isFull] of cases) {
    const found = coverage(asked, [granted]);
    assert.equal(found.isFull, isFull, `${grantText(asked)} by ${grantText(granted)}`);
    assert.equal(found.missing.length === 0, isFull);
  }
});

Deno.test("coverage() names what is missing, and all of it when the id was never granted", () => {
  assert.deepEqual(coverage(read("values", "a", "b"), [read("values", "a")]).missing, [
    "read-activations:b",
  ]);
  assert.deepEqual(coverage({ id: "net", hosts: ["a.b"] }, []).missing, ["net:a.b"]);
});

Deno.test("coverage() does not add grants up", () => {
  assert.equal(
    coverage(read("values", "b"), [read("stats", "b"), read("values", "a")]).isFull,
    false,
  );
});

Deno.test("withoutReason() and grantText() keep what is granted", () => {
  const grant = withoutReason({ id: "fs-write", paths: ["$OUT/"], reason: "x" });
  assert.deepEqual(grant, { id: "fs-write", paths: ["$OUT/"] });
  assert.equal(grantText(grant), "fs-write:$OUT/");
  assert.equal(grantText(read("stats", "a", "b")), "read-activations:stats on a, b");
});
