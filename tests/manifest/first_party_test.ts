// The manifests of Hookline's own plugins against their code, both ways: what they declare is what they
// register on a real model.

import assert from "node:assert/strict";
import { join, relative } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { HookRegistry } from "../../hooks/hook_registry.ts";
import { hookPhases, type ModelHook } from "../../hooks/model_hook.ts";
import { grantRequested } from "../../manifest/grants.ts";
import { compareHooks, hookWords, KIND_ACCESSES } from "../../manifest/declared_hooks.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import { attachPlugins } from "../../pipeline/attach_plugins.ts";
import { checkPlugin } from "../../pipeline/check_plugin.ts";
import { loadPlugin } from "../../pipeline/load_plugin.ts";
import type { Model } from "../../pipeline/model.ts";
import { openModel } from "../../pipeline/open_model.ts";
import type { Plugin } from "../../pipeline/plugin.ts";
import { activationTrace } from "../../plugins/activation_trace/mod.ts";
import { outputCapturePlugin, OutputRecorder } from "../../plugins/output_capture/mod.ts";
import { HookFunction, outputEdit, scale } from "../../plugins/output_edit/mod.ts";
import { nanGuard } from "../../plugins/nan_guard/mod.ts";
import { layerwiseOffload } from "../../plugins/layerwise_offload/mod.ts";
import { firstBlockCache } from "../../plugins/step_cache/first_block_cache.ts";
import { teaCache } from "../../plugins/step_cache/tea_cache.ts";
import { listFiles, ROOT } from "../suites.ts";
import { fixtureInputs } from "../pipeline/_fixtures.ts";
import { fixturePath } from "../support/fixture_path.ts";

const MANIFESTS = listFiles(join(ROOT, "plugins"))
  .filter((path) => /(^|[./])plugin\.json$/.test(path))
  .map((path) => relative(join(ROOT, "plugins"), path));

/** Each plugin with options that make it use everything that it can do. */
const FULL: Readonly<Record<string, (folder: string) => Plugin>> = {
  "activation-trace": (folder) =>
    activationTrace({ output: join(folder, "trace.jsonl"), inputs: true }),
  "output-capture": () => CAPTURE,
  "output-edit": () =>
    outputEdit({
      setup: (editor) => {
        for (const type of ["forward", "forward_pre"] as const) {
          const hook = new HookFunction("encoder.layer.1", { editingFunction: scale(0.5) });
          editor.register(hook, { type });
        }
      },
    }),
  "nan-guard": () => nanGuard(),
  "first-block-cache": () => firstBlockCache({ blocks: "encoder.layer.*", threshold: 0.1 }),
  "layerwise-offload": () => layerwiseOffload(),
  "tea-cache": () => teaCache({ blocks: "encoder.layer.*", threshold: 0.1, signal: "embeddings" }),
};

/** Registers its hooks when something is first captured. */
const CAPTURE = outputCapturePlugin({
  keys: {
    final: new OutputRecorder({ target: "encoder.layer.0" }),
    raw: new OutputRecorder({ target: "encoder.layer.0", observes: "raw" }),
    input: new OutputRecorder({ target: "encoder.layer.0", of: "input" }),
  },
});
const FEEDS = fixtureInputs("torch", "bert");

function hooksOf(model: Model): ModelHook[] {
  return HookRegistry.all(model).flatMap((registry) =>
    registry.names.flatMap((name) => registry.get(name) ?? [])
  );
}

Deno.test("every plugin folder has a manifest of the package's version", () => {
  const folders = [...Deno.readDirSync(join(ROOT, "plugins"))].map(({ name }) => name);
  for (const folder of folders) {
    assert.ok(MANIFESTS.some((path) => path.startsWith(`${folder}/`)), folder);
  }
  const names = MANIFESTS.map((path) => readManifest(join(ROOT, "plugins", path)).manifest);
  assert.deepEqual(names.map(({ version }) => version), names.map(() => config.version));
});

for (const path of MANIFESTS) {
  const place = join(ROOT, "plugins", path);
  const { manifest } = readManifest(place);

  Deno.test(`plugins/${path} is good`, async () => {
    const { status, findings } = await checkPlugin(place);
    assert.equal(status, "good", JSON.stringify(findings));
  });

  Deno.test(`${manifest.name} registers exactly the hooks that its manifest declares`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      await using model = await openModel(fixturePath("torch", "bert", "model.onnx"), {
        provider: "cpu",
      });
      const make = FULL[manifest.name];
      assert.ok(make !== undefined, `no options for ${manifest.name} in this test`);
      await using _attached = await attachPlugins(model, [make(folder)], "bert");
      if (manifest.name === CAPTURE.name) {
        await CAPTURE.of("bert").run(FEEDS, { final: true, raw: true, input: true } as never);
      }
      const hooks = hooksOf(model);
      const words = hooks.flatMap((hook) => hookWords(hookPhases(hook), hook));
      assert.deepEqual(compareHooks(manifest, words), { undeclared: [], unimplemented: [] });
      const allowed = KIND_ACCESSES[manifest.kind];
      assert.deepEqual(hooks.filter(({ access }) => !allowed.includes(access)), []);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("a first-party plugin loads by its folder, granted like any other", async () => {
  const place = join(ROOT, "plugins", "nan_guard");
  const grants = grantRequested(readManifest(place));
  await using plugin = await loadPlugin(place, { grants });
  await using model = await openModel(fixturePath("torch", "bert", "model.onnx"), {
    provider: "cpu",
  });
  {
    await using _attached = await attachPlugins(model, [plugin]);
    assert.equal(model.plan().kind, "tapped");
  }
  assert.equal(model.plan().kind, "whole");
});
