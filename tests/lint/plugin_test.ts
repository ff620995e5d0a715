// The plugin as deno.json loads it.

import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };
import plugin from "../../lint/plugin.ts";

Deno.test("deno.json loads the lint plugin and switches no rule off", () => {
  assert.deepEqual(config.lint.plugins, ["./lint/plugin.ts"]);
  assert.equal("exclude" in config.lint.rules, false);
  assert.deepEqual(config.lint.rules.tags, ["recommended", "jsr"]);
});

Deno.test("the lint plugin has every house rule, in alphabetical order", () => {
  const names = Object.keys(plugin.rules);
  assert.deepEqual(names, [...names].sort());
  assert.deepEqual(names, [
    "deno-edges",
    "determinism",
    "file-length",
    "file-name",
    "layering",
    "named-exports",
    "ort-containment",
  ]);
});
