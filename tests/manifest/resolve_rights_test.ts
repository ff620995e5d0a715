import assert from "node:assert/strict";
import { join } from "node:path";
import { grantRequested, type Grants, NO_GRANTS } from "../../manifest/grants.ts";
import { type PluginFolder, readManifest } from "../../manifest/read_manifest.ts";
import {
  mayProcess,
  OUTPUT_FOLDER,
  realPathOf,
  resolveRights,
} from "../../manifest/resolve_rights.ts";
import { manifestFields, transformerFields, withFolder, writePlugin } from "./_plugin_folders.ts";

const READ = { id: "read-activations", level: "stats", modules: ["a.*"], reason: "r" };
const WRITE_FILES = { id: "fs-write", paths: ["$OUT/trace/", "$PLUGIN"], reason: "r" };
const ENV = { id: "env", names: ["APP_KEY", "APP_*"], reason: "r" };
const NET = { id: "net", hosts: ["a.b", "c.d:1"], reason: "r" };

async function plugin(
  folder: string,
  permissions: readonly unknown[],
  changes: Record<string, unknown> = {},
): Promise<PluginFolder> {
  return readManifest(
    await writePlugin(folder, { manifest: manifestFields({ permissions, ...changes }) }),
  );
}

function grantsOf(folder: PluginFolder, options = {}): Grants {
  return grantRequested(folder, NO_GRANTS, { by: "me", at: "then", ...options });
}

const everything = (): boolean => true;

Deno.test("resolveRights() gives a frozen intersection that names who granted each right", async () => {
  await withFolder(async (folder) => {
    const found = await plugin(folder, [READ, WRITE_FILES, ENV, NET]);
    const rights = resolveRights(found, {
      grants: grantsOf(found),
      outputFolder: join(folder, "out"),
      mayProcess: everything,
    });
    assert.equal(rights.readActivations, "stats");
    assert.equal(rights.writeActivations, false);
    assert.deepEqual(rights.modules, ["a.*"]);
    assert.deepEqual(rights.fsWrite, [folder, join(folder, "out", "trace")]);
    assert.deepEqual(rights.env, ["APP_KEY", "APP_*"]);
    assert.deepEqual(rights.net, ["a.b", "c.d:1"]);
    assert.deepEqual(rights.because[0], {
      permission: "read-activations:stats on a.*",
      grantedBy: "me, then",
    });
    assert.ok(Object.isFrozen(rights) && Object.isFrozen(rights.fsWrite));
  });
});

Deno.test("resolveRights() leaves out what the process itself lacks, and says so", async () => {
  await withFolder(async (folder) => {
    const found = await plugin(folder, [WRITE_FILES, ENV, NET]);
    const rights = resolveRights(found, {
      grants: grantsOf(found),
      outputFolder: folder,
      mayProcess: (question) =>
        question.name === "net" ? question.host === "a.b" : question.name === "env",
    });
    assert.deepEqual(rights.fsWrite, []);
    assert.deepEqual(rights.net, ["a.b"]);
    assert.deepEqual(rights.env, ["APP_KEY", "APP_*"]);
    const limited = rights.because.filter(({ limitedBy }) => limitedBy !== undefined);
    assert.deepEqual(limited.map(({ permission }) => permission.split(":")[0]), [
      "fs-write",
      "net",
    ]);
    assert.match(limited[1]?.limitedBy ?? "", /1 of 2/);
  });
});

Deno.test("resolveRights() refuses a plugin that nobody granted anything, unless it asks for nothing", async () => {
  await withFolder(async (folder) => {
    const found = await plugin(folder, [READ]);
    assert.throws(() => resolveRights(found, { grants: NO_GRANTS }), (
      error: Error & {
        code: string;
        fix: string;
      },
    ) => {
      assert.equal(error.code, "HOOK_PERMISSION_DENIED");
      assert.match(error.fix, new RegExp(`hookline plugin grant ${folder}`));
      return true;
    });
    const modest = await plugin(folder, []);
    assert.equal(resolveRights(modest, { grants: NO_GRANTS }).readActivations, "none");
  });
});

Deno.test("resolveRights() disables an upgrade that asks for more, and never asks about less", async () => {
  await withFolder(async (folder) => {
    const grants = grantsOf(await plugin(folder, [READ, NET]));
    const wider = [
      [{ ...READ, level: "values" }],
      [{ ...READ, modules: ["a.*", "b.*"] }],
      [READ, { ...NET, hosts: ["a.b", "c.d:1", "e.f"] }],
      [READ, NET, ENV],
    ];
    for (const permissions of wider) {
      const upgraded = await plugin(folder, permissions, { version: "1.1.0" });
      assert.throws(() => resolveRights(upgraded, { grants }), (
        error: Error & {
          code: string;
          details: { beyond: string[]; grantedVersion: string };
        },
      ) => {
        assert.equal(error.code, "HOOK_PERMISSION_WIDENED");
        assert.equal(error.details.grantedVersion, "1.0.0");
        assert.equal(error.details.beyond.length, 1);
        return true;
      });
    }
    const narrower = await plugin(folder, [{ ...READ, level: "shape" }], { version: "1.1.0" });
    const rights = resolveRights(narrower, { grants, mayProcess: everything });
    assert.equal(rights.readActivations, "shape");
    assert.deepEqual(rights.net, []);
  });
});

Deno.test("resolveRights() lets deny win over what is granted", async () => {
  await withFolder(async (folder) => {
    const found = await plugin(folder, [READ, NET]);
    const grants = grantsOf(found);
    const entry = grants.plugins["watcher"];
    assert.ok(entry !== undefined);
    const denying: Grants = { version: 1, plugins: { watcher: { ...entry, denied: ["net"] } } };
    const rights = resolveRights(found, { grants: denying, mayProcess: everything });
    assert.deepEqual(rights.net, []);
    assert.equal(rights.readActivations, "stats");
    assert.match(rights.because.at(-1)?.limitedBy ?? "", /denied by me/);
  });
});

Deno.test("resolveRights() holds optional permissions only where they were granted in full", async () => {
  await withFolder(async (folder) => {
    const found = await plugin(folder, [READ], { optionalPermissions: [NET] });
    const without = resolveRights(found, { grants: grantsOf(found), mayProcess: everything });
    assert.deepEqual(without.net, []);
    const grants = grantsOf(found, { withOptional: true });
    assert.deepEqual(resolveRights(found, { grants, mayProcess: everything }).net, NET.hosts);
  });
});

Deno.test("resolveRights() follows links in what is granted, so that no path is compared by its name", async () => {
  await withFolder(async (folder) => {
    await Deno.mkdir(join(folder, "real"));
    await Deno.symlink(join(folder, "real"), join(folder, "link"));
    const found = await plugin(join(folder, "p"), [
      { id: "fs-read", paths: [join(folder, "link", "later", "x")], reason: "r" },
    ]);
    const rights = resolveRights(found, { grants: grantsOf(found), mayProcess: everything });
    assert.deepEqual(rights.fsRead, [join(folder, "real", "later", "x")]);
    assert.equal(realPathOf(join(folder, "link")), join(folder, "real"));
  });
});

Deno.test("resolveRights() carries what a transformer may do", async () => {
  await withFolder(async (folder) => {
    await writePlugin(folder, { manifest: transformerFields() });
    const found = readManifest(folder);
    const rights = resolveRights(found, { grants: grantRequested(found) });
    assert.deepEqual([rights.writeActivations, rights.changesShape], [true, false]);
  });
});

Deno.test({
  name: "mayProcess() asks the process and nobody else",
  permissions: { env: ["APP_KEY"], read: ["/tmp"] },
  fn() {
    assert.equal(mayProcess({ name: "env", variable: "APP_KEY" }), true);
    assert.equal(mayProcess({ name: "env", variable: "HOME" }), false);
    assert.equal(mayProcess({ name: "read", path: "/tmp/x" }), true);
    assert.equal(mayProcess({ name: "write", path: "/tmp/x" }), false);
    assert.equal(mayProcess({ name: "net", host: "a.b" }), false);
  },
});

Deno.test("resolveRights() keeps $OUT out of the working directory, where the file of grants lies", async () => {
  await withFolder(async (folder) => {
    const found = await plugin(folder, [WRITE_FILES]);
    const rights = resolveRights(found, { grants: grantsOf(found), mayProcess: everything });
    assert.ok(rights.fsWrite.includes(join(realPathOf(Deno.cwd()), OUTPUT_FOLDER, "trace")));
  });
});
