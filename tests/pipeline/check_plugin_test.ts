import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { checkPlugin } from "../../pipeline/check_plugin.ts";
import {
  manifestFields,
  WATCHER_CODE,
  withFolder,
  writePlugin,
} from "../manifest/_plugin_folders.ts";

Deno.test("checkPlugin() gives a plugin that asks for files a temporary folder and nothing else", async () => {
  await withFolder(async (folder) => {
    const manifest = manifestFields({
      permissions: [{ id: "fs-write", paths: [join(folder, "granted")], reason: "r" }],
    });
    const code = `export default {
      createHook(_module, host) {
        host.openSink("x").close();
        if (Object.keys(host.env).length > 0) throw new Error("it has variables");
        return { postForward() {} };
      },
    };`;
    const { status, findings } = await checkPlugin(await writePlugin(folder, { manifest, code }));
    assert.equal(status, "good", JSON.stringify(findings));
    assert.equal(existsSync(join(folder, "granted")), false);
  });
});

Deno.test("checkPlugin() leaves the code alone when it is told to, or when the manifest is wrong", async () => {
  await withFolder(async (folder) => {
    const marker = join(folder, "loaded");
    const code = `Deno.writeTextFileSync(${JSON.stringify(marker)}, ""); ${WATCHER_CODE}`;
    await writePlugin(folder, { code });
    assert.equal((await checkPlugin(folder, { level: null })).status, "good");
    await writePlugin(folder, { code, manifest: manifestFields({ apiVersion: "^7.0.0" }) });
    const wrong = await checkPlugin(folder);
    assert.deepEqual(wrong.findings[0]?.pointer, "/apiVersion");
    assert.equal(existsSync(marker), false);
    await writePlugin(folder, { code });
    await checkPlugin(folder);
    assert.equal(existsSync(marker), true);
  });
});

Deno.test("checkPlugin() makes findings of what the code throws and of hooks that it does not make", async () => {
  const cases = [
    ["throw new Error('at load');", "error", /at load/],
    ["export default { createHook: () => { throw new Error('mine'); } };", "error", /mine/],
    ["export default { createHook: () => null };", "warning", /made no hook/],
  ] as const;
  for (const [code, severity, message] of cases) {
    await withFolder(async (folder) => {
      const { findings } = await checkPlugin(await writePlugin(folder, { code }));
      const found = findings.find((one) => message.test(one.message));
      assert.equal(found?.severity, severity, JSON.stringify(findings));
    });
  }
});

Deno.test("checkPlugin() finds undeclared methods at every level", async () => {
  await withFolder(async (folder) => {
    const code = "export default { createHook: () => ({ preForward() {}, postForward() {} }) };";
    await writePlugin(folder, { code });
    for (const level of ["inline", "worker"] as const) {
      const { findings } = await checkPlugin(folder, { level, unstableWorkerOptions: true });
      const [found] = findings;
      assert.match(found?.message ?? "", /implements "pre", which is not declared/, level);
    }
  });
});
