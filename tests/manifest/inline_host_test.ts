import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { hostInline } from "../../manifest/inline_host.ts";
import { readManifest } from "../../manifest/read_manifest.ts";
import type { PluginOptions } from "../../manifest/plugin_module.ts";
import { rightsWith } from "./_guards.ts";
import { keptAudit, withFolder, writePlugin } from "./_plugin_folders.ts";

const FACTS = { path: "layer", className: null, callCount: 1 };

async function host(folder: string, code: string, options: PluginOptions = null) {
  const { root, manifest } = readManifest(await writePlugin(folder, { code }));
  const lines: string[] = [];
  const { audit, entries } = keptAudit();
  const rights = rightsWith({ fsWrite: [join(folder, "out")], env: ["HOOKLINE_TEST_A"] });
  const log = (line: string): void => void lines.push(line);
  const module = await hostInline({ root, manifest, rights, options, audit, log });
  return { module, lines, entries };
}

Deno.test("hostInline() hands over granted variables, options, sinks and a log, and nothing else", async () => {
  Deno.env.set("HOOKLINE_TEST_A", "a");
  Deno.env.set("HOOKLINE_TEST_B", "b");
  try {
    await withFolder(async (folder) => {
      const { module, lines } = await host(
        folder,
        `export default {
          createHook(module, host) {
            host.log(JSON.stringify([module.path, host.env, host.options, Object.keys(host)]));
            this.sink = host.openSink("x.txt");
            this.sink.write("written");
            return null;
          },
          close() { this.closed = true; },
        };`,
        { depth: 2 },
      );
      assert.equal(await module.createHook(FACTS), null);
      assert.deepEqual(JSON.parse(lines[0] ?? ""), [
        "layer",
        { HOOKLINE_TEST_A: "a" },
        { depth: 2 },
        ["env", "options", "openSink", "log"],
      ]);
      await module.close();
      await module.close();
      assert.equal(readFileSync(join(folder, "out", "x.txt"), "utf8"), "written");
    });
  } finally {
    Deno.env.delete("HOOKLINE_TEST_A");
    Deno.env.delete("HOOKLINE_TEST_B");
  }
});

Deno.test("hostInline() answers PLUGIN_MODULE for code that does not load or is no plugin", async () => {
  const cases = [
    ["throw new Error('at import');", /does not load: .*at import/],
    ["export const other = 1;", /no createHook/],
    ["export default { createHook: 1 };", /no createHook/],
  ] as const;
  for (const [code, message] of cases) {
    await withFolder((folder) =>
      assert.rejects(host(folder, code), (error: Error & { code: string }) => {
        assert.equal(error.code, "PLUGIN_MODULE");
        assert.match(error.message, message);
        return true;
      })
    );
  }
});

Deno.test("hostInline() blames the plugin for what createHook throws or returns, and for close", async () => {
  await withFolder(async (folder) => {
    const { module } = await host(
      folder,
      `export default {
        createHook(module) { if (module.path === "layer") throw new Error("mine"); return 7; },
        close() { throw new Error("closing"); },
      };`,
    );
    await assert.rejects(module.createHook(FACTS), /createHook\(\) threw: .*mine/);
    await assert.rejects(module.createHook({ ...FACTS, path: "b" }), /of type number/);
    await assert.rejects(module.close(), /close\(\) threw: .*closing/);
  });
});
