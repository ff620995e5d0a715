import assert from "node:assert/strict";
import { join } from "node:path";
import { grantRequested, NO_GRANTS, readGrants, writeGrants } from "../../manifest/grants.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import { manifestFields, withFolder, writePlugin } from "./_plugin_folders.ts";

const PERMISSIONS = [
  { id: "read-activations", level: "stats", modules: ["**"], reason: "a" },
  { id: "net", hosts: ["a.b"], reason: "b" },
];

Deno.test("grantRequested() grants what is asked for but what is denied, and vouches for the files", async () => {
  await withFolder(async (folder) => {
    const optional = [{ id: "env", names: ["APP_KEY"], reason: "c" }];
    await writePlugin(folder, {
      manifest: manifestFields({ permissions: PERMISSIONS, optionalPermissions: optional }),
    });
    const found = readManifest(folder);
    const grants = grantRequested(found, NO_GRANTS, { deny: ["net"], by: "me", at: "2026-01-01" });
    const entry = grants.plugins["watcher"];
    assert.deepEqual(entry?.granted, [
      { id: "read-activations", level: "stats", modules: ["**"] },
    ]);
    assert.deepEqual(entry?.denied, ["net"]);
    assert.equal(entry?.manifestSha256, found.manifestSha256);
    assert.match(entry?.codeSha256 ?? "", /^[0-9a-f]{64}$/);
    assert.deepEqual([entry?.grantedBy, entry?.grantedAt], ["me", "2026-01-01"]);
    const all = grantRequested(found, grants, { withOptional: true }).plugins["watcher"];
    assert.deepEqual(all?.granted.map(({ id }) => id), ["read-activations", "net", "env"]);
    assert.deepEqual(NO_GRANTS.plugins, {});
  });
});

Deno.test("writeGrants() and readGrants() give back the same, plugins by name", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "hookline.lock.json");
    assert.equal(readGrants(path), NO_GRANTS);
    await writePlugin(join(folder, "z"), { manifest: manifestFields({ name: "z" }) });
    await writePlugin(join(folder, "a"), { manifest: manifestFields({ name: "a" }) });
    const grants = ["z", "a"].reduce(
      (sofar, name) => grantRequested(readManifest(join(folder, name)), sofar, { at: "now" }),
      NO_GRANTS,
    );
    writeGrants(grants, path);
    assert.deepEqual(readGrants(path), grants);
    assert.deepEqual(Object.keys(readGrants(path).plugins), ["a", "z"]);
  });
});

Deno.test("readGrants() refuses a damaged file rather than granting nothing", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "hookline.lock.json");
    const cases = ["{", "[]", '{"version":2,"plugins":{}}', '{"version":1,"plugins":{"a":{}}}'];
    for (const text of cases) {
      await Deno.writeTextFile(path, text);
      assert.throws(() => readGrants(path), { code: "GRANTS_INVALID" });
    }
  });
});

Deno.test("readGrants() and writeGrants() name a file that cannot be used", async () => {
  await withFolder((folder) => {
    assert.throws(() => readGrants(folder), { code: "FILE_READ" });
    assert.throws(() => writeGrants(NO_GRANTS, join(folder, "none", "lock.json")), {
      code: "FILE_WRITE",
    });
  });
});
