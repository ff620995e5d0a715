import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { readTarball, replaceInTarball } from "../../cli/_npm_tarball.ts";
import { manifestFields, withFolder, writePlugin } from "../manifest/_plugin_folders.ts";
import { called, errorOf } from "./_hookline.ts";
import { pluginCall } from "./_plugin_calls.ts";

const CONFIG = {
  name: "@my-scope/watcher",
  version: "1.0.0",
  license: "MIT",
  exports: { ".": "./mod.ts", "./plugin.json": "./plugin.json" },
};
const CODE = `/** A plugin. @module */
/** The plugin. */
const plugin: { createHook(): object } = { createHook: () => ({ postForward() {} }) };
export default plugin;
`;

/** A tarball that `deno pack` made. */
async function packed(folder: string, config: object = CONFIG): Promise<string> {
  const source = join(folder, "source");
  await writePlugin(source, { code: CODE, files: { "deno.json": JSON.stringify(config) } });
  const path = join(folder, "plugin.tgz");
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["pack", "--allow-dirty", "-o", path],
    cwd: source,
    env: { NO_COLOR: "1" },
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return path;
}

function jsonIn(path: string, name: string): Record<string, unknown> {
  const file = readTarball(readFileSync(path)).get(`package/${name}`);
  return JSON.parse(new TextDecoder().decode(file));
}

Deno.test("hookline plugin pack names and signs what deno pack made, and declares the core as a peer", async () => {
  await withFolder(async (folder) => {
    const path = await packed(folder);
    const { document } = await pluginCall("pack", path, "--peer", "^0.1.0");
    assert.equal(document["main"], "./mod.js");
    assert.deepEqual(document["signed"], ["./mod.d.ts", "./mod.js"]);
    const { main, integrity, ...others } = jsonIn(path, "plugin.json");
    const { main: _, ...fields } = manifestFields();
    assert.deepEqual(others, fields);
    assert.equal(main, "./mod.js");
    const code = readTarball(readFileSync(path)).get("package/mod.js") ?? new Uint8Array();
    const hash = createHash("sha256").update(code).digest("base64");
    assert.equal((integrity as Record<string, string>)["./mod.js"], `sha256-${hash}`);
    assert.deepEqual(jsonIn(path, "package.json")["peerDependencies"], {
      "@hookline/hookline": "^0.1.0",
    });
    // tar itself reads it, and the unpacked plugin holds.
    await new Deno.Command("tar", { args: ["xzf", path], cwd: folder }).output();
    const check = await pluginCall("check", join(folder, "package"), "--level", "inline");
    assert.equal(check.document["status"], "good", JSON.stringify(check.document));
    assert.deepEqual(check.document["findings"], []);
  });
});

Deno.test("hookline plugin pack refuses what is no tarball of a plugin", async () => {
  await withFolder(async (folder) => {
    const path = await packed(folder, {
      ...CONFIG,
      exports: "./mod.ts",
      publish: { exclude: ["plugin.json"] },
    });
    const none = await called(["plugin", "pack", path, "--json"]);
    assert.match(String(errorOf(none)["message"]), /holds no plugin\.json/);
    const cases = [new TextEncoder().encode("text"), new Uint8Array(gzipSync("x".repeat(2000)))];
    for (const bytes of cases) {
      await Deno.writeFile(path, bytes);
      const outcome = await called(["plugin", "pack", path, "--json"]);
      assert.equal(errorOf(outcome)["code"], "FILE_FORMAT");
    }
    const missing = await called(["plugin", "pack", join(folder, "none.tgz"), "--json"]);
    assert.equal(errorOf(missing)["code"], "FILE_READ");
  });
});

Deno.test("replaceInTarball() changes the named files alone and refuses others", async () => {
  await withFolder(async (folder) => {
    const bytes = readFileSync(await packed(folder));
    const before = readTarball(bytes);
    const content = new TextEncoder().encode("x".repeat(1500));
    const after = readTarball(replaceInTarball(bytes, new Map([["package/mod.js", content]])));
    assert.deepEqual([...after.keys()], [...before.keys()]);
    assert.deepEqual(new Uint8Array(after.get("package/mod.js") ?? []), content);
    assert.deepEqual(after.get("package/plugin.json"), before.get("package/plugin.json"));
    assert.throws(() => replaceInTarball(bytes, new Map([["package/none", content]])), RangeError);
  });
});
