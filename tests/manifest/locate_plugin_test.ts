import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { hashFiles } from "../../manifest/integrity.ts";
import { downloadPlugin, locatePlugin } from "../../manifest/locate_plugin.ts";
import { ROOT } from "../suites.ts";
import { manifestFields, withFolder, writePlugin } from "./_plugin_folders.ts";

Deno.test("locatePlugin() takes folders and file URLs as they are", async () => {
  assert.equal(await locatePlugin("./a/b"), "./a/b");
  assert.equal(await locatePlugin(pathToFileURL("/a/b").href), "/a/b");
});

Deno.test("locatePlugin() finds the folder of an npm package", async () => {
  // Any package that exports a JSON file stands for one that exports its manifest.
  const path = await locatePlugin("npm:semver@7.7.3/package.json");
  assert.equal(JSON.parse(await Deno.readTextFile(path)).name, "semver");
});

Deno.test("locatePlugin() answers PLUGIN_NOT_FOUND for what leads nowhere", async () => {
  const specifiers = [
    "jsr:@hookline/there-is-no-such-plugin@1",
    "npm:semver@7.7.3/no_such_plugin",
    "https://example.com/plugin",
  ];
  for (const specifier of specifiers) {
    await assert.rejects(locatePlugin(specifier), { code: "PLUGIN_NOT_FOUND" }, specifier);
  }
});

async function served<T>(folder: string, use: (url: string) => Promise<T>): Promise<T> {
  const server = Deno.serve({ port: 0, onListen() {} }, async ({ url }) => {
    try {
      return new Response(await Deno.readFile(join(folder, new URL(url).pathname)));
    } catch {
      return new Response("no such file", { status: 404 });
    }
  });
  try {
    return await use(`http://localhost:${server.addr.port}/plugin.json`);
  } finally {
    await server.shutdown();
  }
}

Deno.test("downloadPlugin() brings the signed files to disk, and only whole plugins", async () => {
  await withFolder(async (folder) => {
    const source = await writePlugin(join(folder, "source"), { files: { "lib/a.ts": "1" } });
    const target = join(folder, "target");
    await served(source, async (url) => {
      await assert.rejects(downloadPlugin(url, target), { code: "HOOK_INTEGRITY_UNSIGNED" });
      const integrity = hashFiles(source, "watcher").files;
      const manifest = JSON.stringify(manifestFields({ integrity }));
      await Deno.writeTextFile(join(source, "plugin.json"), manifest);
      const place = await downloadPlugin(url, target);
      assert.equal(place, join(target, "watcher-1.0.0"));
      assert.equal(await Deno.readTextFile(join(place, "lib", "a.ts")), "1");
      assert.deepEqual(hashFiles(place, "watcher").files, integrity);
      await Deno.remove(target, { recursive: true });
      await Deno.writeTextFile(join(source, "lib", "a.ts"), "2");
      await assert.rejects(downloadPlugin(url, target), { code: "HOOK_INTEGRITY_MODIFIED" });
      await Deno.remove(join(source, "lib", "a.ts"));
      await assert.rejects(downloadPlugin(url, target), { code: "PLUGIN_NOT_FOUND" });
      assert.equal(existsSync(target), false);
    });
  });
});

/** Runs an application in a folder and gives what it prints. */
async function printed(folder: string, script: string, flags: readonly string[]): Promise<string> {
  await Deno.writeTextFile(join(folder, "app.ts"), script);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "-q", "--no-check", ...flags, join(folder, "app.ts")],
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}

const LOCATE = pathToFileURL(join(ROOT, "manifest", "locate_plugin.ts")).href;

Deno.test("locatePlugin() finds a jsr: package that lies on disk", async () => {
  await withFolder(async (folder) => {
    const config = {
      name: "@my-scope/watcher",
      version: "1.0.0",
      exports: { ".": "./mod.ts", "./plugin.json": "./plugin.json" },
    };
    await writePlugin(join(folder, "plugin"), { files: { "deno.json": JSON.stringify(config) } });
    const { imports } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
    await Deno.writeTextFile(
      join(folder, "deno.json"),
      JSON.stringify({ imports, links: ["./plugin"] }),
    );
    const script = `import { locatePlugin } from ${JSON.stringify(LOCATE)};
      console.log(await locatePlugin("jsr:@my-scope/watcher@^1.0.0"));`;
    assert.equal(await printed(folder, script, []), join(folder, "plugin", "plugin.json"));
  });
});

Deno.test("locatePlugin() finds an npm: package that the application has installed", async () => {
  await withFolder(async (folder) => {
    const place = join(folder, "node_modules", "@my-scope", "watcher");
    const exports = { ".": "./mod.ts", "./plugin.json": "./plugin.json" };
    const npm = JSON.stringify({ name: "@my-scope/watcher", version: "1.0.0", exports });
    await writePlugin(place, { files: { "package.json": npm } });
    await Deno.writeTextFile(join(folder, "package.json"), '{"private":true,"type":"module"}');
    const config = ["--config", join(ROOT, "deno.json")];
    const script = `import { locatePlugin } from ${JSON.stringify(LOCATE)};
      console.log(await locatePlugin("npm:@my-scope/watcher@1"));`;
    assert.equal(await printed(folder, script, config), join(place, "plugin.json"));
  });
});
