import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { pluginConformance } from "../../testing/plugin_conformance.ts";
import {
  type ManifestFields,
  manifestFields,
  transformerFields,
  withFolder,
  writePlugin,
} from "../manifest/_plugin_folders.ts";
import { affineCode } from "../pipeline/_loaded_plugins.ts";

const QUIET = "export default { createHook: () => ({ postForward() {} }) };";
const LAYERS = { modules: ["layers.*"] };

/** The names of the cases that fail, with their reasons. */
async function failures(
  manifest: ManifestFields,
  code: string,
  asUrl = false,
): Promise<Record<string, string>> {
  return await withFolder(async (folder) => {
    await writePlugin(folder, { manifest, code });
    const found: Record<string, string> = {};
    const place = asUrl ? pathToFileURL(`${folder}/`) : folder;
    for (const { name, run } of pluginConformance(place)) {
      await run().catch((error) => found[name] = String(error.message ?? error));
    }
    return found;
  });
}

Deno.test("pluginConformance() passes plugins that keep their promises", async () => {
  assert.deepEqual(await failures(manifestFields({ match: LAYERS }), QUIET, true), {});
  assert.deepEqual(await failures(transformerFields({ match: LAYERS }), affineCode(2, 1)), {});
});

Deno.test("pluginConformance() fails a hook that is not declared", async () => {
  const found = await failures(manifestFields({ match: LAYERS, hooks: ["pre"] }), QUIET);
  assert.match(
    found["the manifest holds and the code is what it says"] ?? "",
    /implements "observe:final"/,
  );
});

Deno.test("pluginConformance() fails a transformer that calls itself transparent", async () => {
  const manifest = transformerFields({ match: LAYERS, numerics: "transparent" });
  const found = await failures(manifest, affineCode(2, 0));
  assert.deepEqual(Object.keys(found), ["what it changes is what its numerics say"]);
  const near = { tolerant: { atol: 1e3, rtol: 0 } };
  assert.deepEqual(await failures({ ...manifest, numerics: near }, affineCode(2, 0)), {});
});

Deno.test("pluginConformance() fails chance in a deterministic plugin, and state that a reset keeps", async () => {
  const code = (factor: string) =>
    `let calls = 0; export default { createHook: () => ({ postForward(_call, outputs) {
      return Object.fromEntries(Object.entries(outputs).map(([name, { dtype, shape, data }]) =>
        [name, { dtype, shape, data: data.map((value) => value * ${factor}) }]));
    } }) };`;
  const match = { modules: ["layers.0"] };
  const chance = await failures(transformerFields({ match }), code("Math.random()"));
  assert.ok("the same inputs give the same outputs" in chance);
  const counting = await failures(transformerFields({ match }), code("++calls"));
  assert.ok("its state can be reset" in counting);
});

Deno.test("pluginConformance() fails a plugin that tries what it may not", async () => {
  const code =
    "export default { createHook: () => ({ postForward: (_c, o) => { for (const t of Object.values(o)) t.data.fill(0); } }) };";
  const found = await failures(manifestFields({ match: LAYERS }), code);
  assert.deepEqual(Object.keys(found), ["a good run is denied nothing"]);
});
