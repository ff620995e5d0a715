import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { grantRequested } from "../../manifest/grants.ts";
import { SinkFolder } from "../../manifest/plugin_sink.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import { resolveRights } from "../../manifest/resolve_rights.ts";
import { keptAudit, manifestFields, withFolder, writePlugin } from "./_plugin_folders.ts";

async function sinksIn(
  folder: string,
  { outputBytes, paths = ["$OUT/granted"] }: {
    readonly outputBytes?: number;
    readonly paths?: readonly string[];
  } = {},
) {
  const permissions = paths.length === 0 ? [] : [{ id: "fs-write", paths, reason: "r" }];
  await writePlugin(join(folder, "plugin"), { manifest: manifestFields({ permissions }) });
  const found = readManifest(join(folder, "plugin"));
  const rights = resolveRights(found, { grants: grantRequested(found), outputFolder: folder });
  const { audit, entries } = keptAudit();
  return { sinks: new SinkFolder({ rights, audit, outputBytes }), entries };
}

Deno.test("SinkFolder writes text and bytes below the granted folder, and empties what was there", async () => {
  await withFolder(async (folder) => {
    const { sinks, entries } = await sinksIn(folder);
    for (const text of ["a long first text", "ü"]) {
      const sink = sinks.open("deep/er/out.txt");
      sink.write(text);
      sink.write(Uint8Array.of(33));
      sink.close();
      sink.close();
      assert.throws(() => sink.write("late"), { code: "FILE_WRITE" });
    }
    assert.equal(readFileSync(join(folder, "granted/deep/er/out.txt"), "utf8"), "ü!");
    assert.deepEqual(entries.map(({ decision }) => decision), ["allow", "allow"]);
    assert.equal(entries[0]?.value, join(folder, "granted", "deep", "er", "out.txt"));
  });
});

Deno.test("SinkFolder refuses every name that leads out, and audits it", async () => {
  await withFolder(async (folder) => {
    const { sinks, entries } = await sinksIn(folder);
    const names = [
      "../x",
      "a/../../x",
      "/etc/x",
      "",
      ".",
      "a//b",
      "a\\..\\x",
      "c:x",
      "a\0b",
      "./x",
    ];
    for (const name of names) {
      assert.throws(() => sinks.open(name), { code: "HOOK_PERMISSION_DENIED" }, name);
    }
    assert.equal(entries.filter(({ decision }) => decision === "deny").length, names.length);
    assert.equal(existsSync(join(folder, "x")), false);
  });
});

Deno.test("SinkFolder follows neither links of folders nor of files, symbolic or hard", async () => {
  await withFolder(async (folder) => {
    const { sinks } = await sinksIn(folder);
    const secret = join(folder, "secret.txt");
    await Deno.writeTextFile(secret, "secret");
    await Deno.mkdir(join(folder, "granted"));
    await Deno.mkdir(join(folder, "outside"));
    await Deno.symlink(secret, join(folder, "granted", "file"));
    await Deno.symlink(join(folder, "outside"), join(folder, "granted", "folder"));
    await Deno.link(secret, join(folder, "granted", "hard"));
    for (const name of ["file", "folder/x", "folder/deep/x", "hard"]) {
      assert.throws(() => sinks.open(name), { code: "HOOK_PERMISSION_DENIED" }, name);
    }
    assert.equal(await Deno.readTextFile(secret), "secret");
    assert.deepEqual([...Deno.readDirSync(join(folder, "outside"))], []);
  });
});

Deno.test("SinkFolder refuses a plugin without fs-write", async () => {
  await withFolder(async (folder) => {
    const { sinks, entries } = await sinksIn(folder, { paths: [] });
    assert.throws(() => sinks.open("x"), /it holds no fs-write/);
    assert.equal(entries[0]?.decision, "deny");
  });
});

Deno.test("SinkFolder holds all files together to the budget", async () => {
  await withFolder(async (folder) => {
    const { sinks, entries } = await sinksIn(folder, { outputBytes: 5 });
    const [one, two] = [sinks.open("1"), sinks.open("2")];
    one.write("abc");
    two.write("de");
    assert.throws(() => two.write("f"), { code: "HOOK_BUDGET" });
    assert.equal(sinks.writtenBytes, 5);
    assert.equal(entries.at(-1)?.permission, "budget");
    sinks[Symbol.dispose]();
    assert.equal(readFileSync(join(folder, "granted", "2"), "utf8"), "de");
  });
});

Deno.test("SinkFolder writes over no file of grants", async () => {
  await withFolder(async (folder) => {
    const { sinks, entries } = await sinksIn(folder);
    for (const name of ["hookline.lock.json", "app/hookline.lock.json", "Hookline.LOCK.json"]) {
      assert.throws(() => sinks.open(name), { code: "HOOK_PERMISSION_DENIED" }, name);
    }
    assert.deepEqual(entries.map(({ decision }) => decision), ["deny", "deny", "deny"]);
    assert.equal(existsSync(join(folder, "granted")), false);
  });
});
