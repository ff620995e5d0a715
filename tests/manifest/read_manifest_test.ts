import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openManifest, parseManifest, readManifest } from "../../manifest/read_manifest.ts";
import { manifestFields, withFolder, writePlugin } from "./_plugin_folders.ts";

Deno.test("readManifest() reads a folder's manifest, follows links to it, and loads no code", async () => {
  await withFolder(async (folder) => {
    const real = join(folder, "real");
    const marker = join(folder, "loaded");
    await writePlugin(real, { code: `Deno.writeTextFileSync(${JSON.stringify(marker)}, "x");` });
    await Deno.symlink(real, join(folder, "link"));
    const found = readManifest(join(folder, "link"));
    assert.equal(found.root, real);
    assert.equal(found.manifestPath, join(real, "plugin.json"));
    assert.equal(found.manifest.name, "watcher");
    assert.match(found.manifestSha256, /^[0-9a-f]{64}$/);
    assert.equal(existsSync(marker), false);
  });
});

Deno.test("readManifest() takes a manifest of another name", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "second.plugin.json");
    await Deno.writeTextFile(path, JSON.stringify(manifestFields({ name: "second" })));
    assert.equal(readManifest(path).manifest.name, "second");
  });
});

Deno.test("readManifest() answers PLUGIN_NOT_FOUND where there is no manifest", async () => {
  await withFolder((folder) => {
    assert.throws(() => readManifest(folder), { code: "PLUGIN_NOT_FOUND" });
    assert.throws(() => readManifest(join(folder, "nowhere")), { code: "PLUGIN_NOT_FOUND" });
  });
});

Deno.test("readManifest() answers MANIFEST_INVALID with every fault and its pointer", async () => {
  await withFolder(async (folder) => {
    await writePlugin(folder, { manifest: manifestFields({ version: "one", hooks: ["post"] }) });
    assert.throws(
      () => readManifest(folder),
      (error: Error & { details: unknown; code: string }) => {
        assert.equal(error.code, "MANIFEST_INVALID");
        const { pointer, findings } = error.details as {
          pointer: string;
          findings: { pointer: string }[];
        };
        assert.equal(pointer, "/version");
        assert.deepEqual(findings.map((one) => one.pointer).slice(0, 2), ["/version", "/hooks/0"]);
        assert.match(error.message, /and \d+ more/);
        return true;
      },
    );
    await Deno.writeTextFile(join(folder, "plugin.json"), "{ no json");
    assert.throws(() => readManifest(folder), { code: "MANIFEST_INVALID" });
  });
});

Deno.test("readManifest() refuses another hook API; openManifest() only reads", async () => {
  await withFolder(async (folder) => {
    await writePlugin(folder, { manifest: manifestFields({ apiVersion: "^9.0.0" }) });
    assert.throws(() => readManifest(folder), { code: "HOOK_API_RANGE" });
    assert.equal(openManifest(folder).manifest.apiVersion, "^9.0.0");
  });
});

Deno.test("parseManifest() names the label", () => {
  assert.throws(() => parseManifest({}, "the/label"), /the\/label/);
});
