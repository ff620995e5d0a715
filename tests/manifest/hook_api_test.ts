import assert from "node:assert/strict";
import {
  HOOK_API_VERSION,
  isInRange,
  isVersion,
  isVersionRange,
  requireHookApi,
  requireOnnxRuntime,
  requireRuntime,
} from "../../manifest/hook_api.ts";
import type { PluginManifest } from "../../manifest/plugin_manifest.ts";
import { parseManifest } from "../../manifest/read_manifest.ts";
import { manifestFields } from "./_plugin_folders.ts";

function manifest(changes: Record<string, unknown>): PluginManifest {
  return parseManifest(manifestFields(changes), "test");
}

Deno.test("isInRange() reads semver ranges", () => {
  assert.ok(isInRange("1.4.1", "1.x || 2.x"));
  assert.ok(isInRange("2.9.6", ">=2.9 <4"));
  assert.ok(!isInRange("1.4.1", "^2.0.0"));
  assert.ok(isVersion(HOOK_API_VERSION) && !isVersion("1.0"));
  assert.ok(isVersionRange("*") && !isVersionRange("newest"));
});

Deno.test("requireHookApi() names both versions", () => {
  requireHookApi(manifest({ apiVersion: `^${HOOK_API_VERSION}` }));
  assert.throws(() => requireHookApi(manifest({ apiVersion: "^2.0.0" })), {
    code: "HOOK_API_RANGE",
    message:
      `cannot load watcher 1.0.0: it needs hook API ^2.0.0, this Hookline offers ${HOOK_API_VERSION}`,
  });
});

Deno.test("requireRuntime() refuses a runtime that the plugin leaves out or bounds", () => {
  const both = manifest({ engines: { deno: ">=2.9", node: ">=24" } });
  requireRuntime(both, "deno 2.9.6");
  requireRuntime(both, "node 24.1.0");
  requireRuntime(manifest({}), "bun 1.0.0");
  assert.throws(() => requireRuntime(both, "node 22.0.0"), { code: "PLUGIN_UNSUITED" });
  assert.throws(() => requireRuntime(manifest({ engines: { node: "*" } }), "deno 2.9.6"), {
    code: "PLUGIN_UNSUITED",
  });
});

Deno.test("requireOnnxRuntime() refuses a version outside the range", () => {
  const bound = manifest({ engines: { "onnxruntime-node": ">=1.24.1" } });
  requireOnnxRuntime(bound, "1.29.0");
  requireOnnxRuntime(manifest({}), "0.1.0");
  assert.throws(() => requireOnnxRuntime(bound, "1.23.2"), { code: "PLUGIN_UNSUITED" });
});
