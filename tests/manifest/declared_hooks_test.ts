import assert from "node:assert/strict";
import {
  compareHooks,
  hookWords,
  implementedPhases,
  natureOf,
} from "../../manifest/declared_hooks.ts";
import { parseManifest } from "../../manifest/read_manifest.ts";
import { manifestFields, transformerFields } from "./_plugin_folders.ts";

Deno.test("hookWords() gives the words that a manifest declares, for every kind", () => {
  const reason = "r";
  const residency = [{ id: "manage-residency", reason }];
  const replace = [
    { id: "replace-forward", modules: ["**"], reason },
    { id: "skip-forward", modules: ["**"], reason },
  ];
  const cases = [
    [manifestFields({ hooks: ["observe:raw", "pre", "error"] }), [
      "preForward",
      "postForward",
      "onUnwind",
    ]],
    [manifestFields(), ["postForward"]],
    [transformerFields({ hooks: ["pre", "post"] }), ["preForward", "postForward"]],
    [
      manifestFields({
        kind: "replacer",
        hooks: ["replace", "skip", "post"],
        permissions: replace,
      }),
      ["newForward", "postForward"],
    ],
    [
      manifestFields({
        kind: "resident",
        factory: "make",
        hooks: ["load", "unload"],
        permissions: residency,
      }),
      ["preForward", "postForward"],
    ],
  ] as const;
  for (const [fields, phases] of cases) {
    const manifest = parseManifest(fields, "test");
    const words = hookWords(phases, natureOf(manifest));
    assert.deepEqual(compareHooks(manifest, words), { undeclared: [], unimplemented: [] });
  }
});

Deno.test("compareHooks() finds differences both ways", () => {
  const manifest = parseManifest(transformerFields({ hooks: ["pre", "post"] }), "test");
  assert.deepEqual(compareHooks(manifest, ["post", "error"]), {
    undeclared: ["error"],
    unimplemented: ["pre"],
  });
});

Deno.test("implementedPhases() sees methods of the object and of its class", () => {
  class Hook {
    postForward(): void {}
  }
  assert.deepEqual(implementedPhases(new Hook()), ["postForward"]);
  assert.deepEqual(implementedPhases({ resetState() {}, onUnwind() {} }), ["onUnwind"]);
});
