import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { grantRequested, type PluginGrant } from "../../manifest/grants.ts";
import { checkIntegrity, hashFiles } from "../../manifest/integrity.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import { manifestFields, WATCHER_CODE, withFolder, writePlugin } from "./_plugin_folders.ts";

function grantOf(folder: string): PluginGrant {
  const grant = grantRequested(readManifest(folder)).plugins["watcher"];
  assert.ok(grant !== undefined);
  return grant;
}

async function sign(folder: string, changes: Record<string, unknown> = {}): Promise<void> {
  const { files } = hashFiles(folder, "watcher");
  const manifest = manifestFields({ integrity: files, ...changes });
  await Deno.writeTextFile(join(folder, "plugin.json"), JSON.stringify(manifest));
}

Deno.test("hashFiles() covers code and data, not documentation, tests or configuration", async () => {
  await withFolder(async (folder) => {
    await writePlugin(folder, {
      files: {
        "lib/b.ts": "1",
        "data.json": "{}",
        "README.md": "x",
        "LICENSE": "x",
        "mod_test.ts": "x",
        "tests/x.ts": "x",
        "deno.json": "{}",
        "watcher-1.0.0.tgz": "what deno pack leaves",
        ".hidden": "x",
        "node_modules/a/index.js": "x",
      },
    });
    const { files, codeSha256 } = hashFiles(folder, "watcher");
    assert.deepEqual(Object.keys(files), ["./data.json", "./lib/b.ts", "./mod.ts"]);
    const wanted = createHash("sha256").update(WATCHER_CODE).digest("base64");
    assert.equal(files["./mod.ts"], `sha256-${wanted}`);
    await Deno.writeTextFile(join(folder, "data.json"), "[]");
    assert.notEqual(hashFiles(folder, "watcher").codeSha256, codeSha256);
  });
});

Deno.test("hashFiles() refuses links", async () => {
  await withFolder(async (folder) => {
    await writePlugin(folder);
    await Deno.symlink("/etc/hostname", join(folder, "linked.ts"));
    assert.throws(() => hashFiles(folder, "watcher"), { code: "HOOK_INTEGRITY_MODIFIED" });
  });
});

Deno.test("checkIntegrity() tells a modified plugin from an unsigned one", async () => {
  await withFolder(async (folder) => {
    await writePlugin(folder);
    assert.throws(() => checkIntegrity(readManifest(folder)), { code: "HOOK_INTEGRITY_UNSIGNED" });
    assert.equal(checkIntegrity(readManifest(folder), { allowUnsigned: true }).state, "unsigned");
    await sign(folder);
    assert.equal(checkIntegrity(readManifest(folder)).state, "signed");
    await Deno.writeTextFile(join(folder, "mod.ts"), `${WATCHER_CODE}// changed`);
    for (const allowUnsigned of [false, true]) {
      assert.throws(() => checkIntegrity(readManifest(folder), { allowUnsigned }), {
        code: "HOOK_INTEGRITY_MODIFIED",
        message: /\.\/mod\.ts differs/,
      });
    }
  });
});

Deno.test("checkIntegrity() finds files that are missing or too many", async () => {
  await withFolder(async (folder) => {
    await writePlugin(folder, { files: { "lib.ts": "1" } });
    await sign(folder);
    await Deno.remove(join(folder, "lib.ts"));
    await Deno.writeTextFile(join(folder, "more.ts"), "1");
    assert.throws(() => checkIntegrity(readManifest(folder)), /\.\/lib\.ts, \.\/more\.ts/);
  });
});

Deno.test("checkIntegrity() holds an unsigned plugin to what was granted", async () => {
  await withFolder(async (folder) => {
    await writePlugin(folder);
    const grant = grantOf(folder);
    assert.equal(checkIntegrity(readManifest(folder), { grant }).state, "granted");
    await Deno.writeTextFile(join(folder, "mod.ts"), `${WATCHER_CODE}// changed`);
    assert.throws(() => checkIntegrity(readManifest(folder), { grant }), {
      code: "HOOK_INTEGRITY_MODIFIED",
    });
    // A new version without signatures: nobody said what its files should be.
    await writePlugin(folder, { manifest: manifestFields({ version: "1.1.0" }) });
    assert.throws(() => checkIntegrity(readManifest(folder), { grant }), {
      code: "HOOK_INTEGRITY_UNSIGNED",
    });
  });
});

Deno.test("checkIntegrity() accepts a signed upgrade and refuses a manifest changed under its version", async () => {
  await withFolder(async (folder) => {
    await writePlugin(folder);
    await sign(folder);
    const grant = grantOf(folder);
    await Deno.writeTextFile(join(folder, "mod.ts"), `${WATCHER_CODE}// better`);
    await sign(folder, { version: "1.1.0" });
    assert.equal(checkIntegrity(readManifest(folder), { grant }).state, "upgraded");
    // The same with the old version number: signing its own change does not help a tamperer.
    await sign(folder);
    assert.throws(() => checkIntegrity(readManifest(folder), { grant }), {
      code: "HOOK_INTEGRITY_MODIFIED",
    });
  });
});
