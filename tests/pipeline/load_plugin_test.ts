import assert from "node:assert/strict";
import { join } from "node:path";
import { grantRequested, type Grants, NO_GRANTS, writeGrants } from "../../manifest/grants.ts";
import { hashFiles } from "../../manifest/integrity.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import { loadPlugin } from "../../pipeline/load_plugin.ts";
import { attached, openChain } from "./_loaded_plugins.ts";
import {
  type ManifestFields,
  manifestFields,
  transformerFields,
  withFolder,
  writePlugin,
} from "../manifest/_plugin_folders.ts";

async function written(folder: string, manifest?: ManifestFields): Promise<Grants> {
  await writePlugin(folder, manifest === undefined ? {} : { manifest });
  return grantRequested(readManifest(folder));
}

Deno.test("loadPlugin() says what a plugin is and may do, before its code is loaded", async () => {
  await withFolder(async (folder) => {
    const grants = await written(folder);
    await Deno.writeTextFile(join(folder, "mod.ts"), "throw new Error('loaded');");
    const unsigned = { ...grants.plugins["watcher"], codeSha256: null } as never;
    await using plugin = await loadPlugin(folder, {
      grants: { version: 1, plugins: { watcher: unsigned } },
      allowUnsigned: true,
    });
    assert.equal(plugin.name, "watcher");
    assert.equal(plugin.level, "inline");
    assert.equal(plugin.integrity, "unsigned");
    assert.equal(plugin.rights.readActivations, "values");
    assert.equal(plugin.root, folder);
    assert.equal(plugin.tally.calls, 0);
  });
});

Deno.test("loadPlugin() reads the application's file of grants", async () => {
  await withFolder(async (folder) => {
    const grants = await written(join(folder, "plugin"));
    const lockFile = join(folder, "hookline.lock.json");
    await assert.rejects(loadPlugin(join(folder, "plugin"), { lockFile }), {
      code: "HOOK_PERMISSION_DENIED",
    });
    writeGrants(grants, lockFile);
    await using plugin = await loadPlugin(join(folder, "plugin"), { lockFile });
    assert.equal(plugin.integrity, "granted");
  });
});

Deno.test("loadPlugin() disables an upgrade with wider rights and lets a signed one with fewer in", async () => {
  await withFolder(async (folder) => {
    const grants = await written(folder);
    const upgrade = async (permissions: readonly unknown[]): Promise<void> => {
      const integrity = hashFiles(folder, "watcher").files;
      const manifest = manifestFields({ version: "2.0.0", permissions, integrity });
      await writePlugin(folder, { manifest });
    };
    await upgrade([{ id: "net", hosts: ["a.b"], reason: "r" }]);
    await assert.rejects(loadPlugin(folder, { grants }), { code: "HOOK_PERMISSION_WIDENED" });
    await upgrade([{ id: "read-activations", level: "stats", modules: ["**"], reason: "r" }]);
    await using plugin = await loadPlugin(folder, { grants });
    assert.equal(plugin.rights.readActivations, "stats");
    assert.equal(plugin.integrity, "upgraded");
  });
});

Deno.test("loadPlugin() tells a tampered file from an unsigned plugin", async () => {
  await withFolder(async (folder) => {
    const grants = await written(folder);
    await Deno.writeTextFile(join(folder, "mod.ts"), "export default 1;");
    await assert.rejects(loadPlugin(folder, { grants }), { code: "HOOK_INTEGRITY_MODIFIED" });
    await writePlugin(folder, { manifest: manifestFields({ version: "1.0.1" }) });
    await assert.rejects(loadPlugin(folder, { grants }), { code: "HOOK_INTEGRITY_UNSIGNED" });
  });
});

Deno.test("a plugin whose files change between loading and attaching does not run", async () => {
  await withFolder(async (folder) => {
    await using model = await openChain();
    for (const factory of [null, "make"]) {
      const grants = await written(folder, manifestFields({ factory }));
      await using plugin = await loadPlugin(folder, { grants });
      await Deno.writeTextFile(join(folder, "mod.ts"), "throw new Error('it ran');");
      await assert.rejects(attached(plugin, model), { code: "HOOK_INTEGRITY_MODIFIED" });
    }
  });
});

Deno.test("loadPlugin() refuses a level below the manifest's, an unknown one, and isolation of a factory", async () => {
  await withFolder(async (folder) => {
    const cases = [
      [manifestFields({ isolation: "worker" }), "inline", /no less than "worker"/],
      [manifestFields(), "vault", /no such level/],
      [manifestFields({ factory: "make" }), "process", /registers its hooks by itself/],
    ] as const;
    for (const [manifest, level, message] of cases) {
      const grants = await written(folder, manifest);
      await assert.rejects(
        loadPlugin(folder, { grants, level: level as "inline" }),
        (error: Error & { code: string }) => {
          assert.equal(error.code, "PLUGIN_ISOLATION");
          assert.match(error.message, message);
          return true;
        },
      );
    }
  });
});

Deno.test("loadPlugin() refuses a transformer that was denied to write", async () => {
  await withFolder(async (folder) => {
    await writePlugin(folder, { manifest: transformerFields() });
    const deny = ["write-activations"] as const;
    const grants = grantRequested(readManifest(folder), NO_GRANTS, { deny });
    await assert.rejects(loadPlugin(folder, { grants }), {
      code: "HOOK_PERMISSION_DENIED",
      message: /a transformer without write-activations/,
    });
  });
});

Deno.test("loadPlugin() refuses unknown options and leads nowhere with PLUGIN_NOT_FOUND", async () => {
  await assert.rejects(loadPlugin("x", { grant: 1 } as never), { code: "OPTION_INVALID" });
  await assert.rejects(loadPlugin("/no/such/folder"), { code: "PLUGIN_NOT_FOUND" });
});

Deno.test("loadPlugin() refuses options that could not reach a plugin elsewhere", async () => {
  await withFolder(async (folder) => {
    const grants = await written(folder);
    const cyclic: Record<string, unknown> = {};
    cyclic["self"] = [cyclic];
    for (const options of [() => {}, { f() {} }, { at: new Date() }, [NaN], { x: 1n }, cyclic]) {
      await assert.rejects(loadPlugin(folder, { grants, options: options as never }), {
        code: "OPTION_INVALID",
      });
    }
    const shared = [-0, "x", null];
    await using plugin = await loadPlugin(folder, { grants, options: { a: shared, b: shared } });
    assert.equal(plugin.name, "watcher");
  });
});
