import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { manifestFields, WATCHER_CODE } from "../manifest/_plugin_folders.ts";
import { called, hookline } from "./_hookline.ts";
import { pluginCall, withPlugin } from "./_plugin_calls.ts";

interface Finding {
  readonly code: string;
  readonly pointer: string;
  readonly severity: string;
  readonly message: string;
}

const INLINE = ["--level", "inline"];

function findings(document: Record<string, unknown>): readonly Finding[] {
  return document["findings"] as readonly Finding[];
}

Deno.test("hookline plugin check finds nothing wrong with a plugin that is right", async () => {
  await withPlugin({}, async ({ plugin }) => {
    const { outcome, document } = await pluginCall("check", plugin, ...INLINE);
    assert.equal(outcome.code, 0);
    assert.equal(document["status"], "good");
    assert.deepEqual(findings(document).map(({ code }) => code), ["HOOK_INTEGRITY_UNSIGNED"]);
    assert.deepEqual(document["permissions"], [{
      permission: "read-activations:values on **",
      reason: "looks at them",
    }]);
  });
});

Deno.test("hookline plugin check points into the manifest and ends with status 1", async () => {
  const manifest = manifestFields({ version: "one", hooks: ["post"] });
  await withPlugin({ manifest }, async ({ plugin }) => {
    const { outcome, document } = await pluginCall("check", plugin, ...INLINE);
    assert.equal(outcome.code, 1);
    assert.equal(document["status"], "bad");
    const pointers = findings(document).map(({ pointer }) => pointer);
    assert.deepEqual(pointers.slice(0, 2), ["/version", "/hooks/0"]);
    const { stdout, code } = await called(["plugin", "check", plugin, ...INLINE]);
    assert.equal(code, 1);
    assert.match(stdout, /error MANIFEST_INVALID at \/version/);
  });
});

Deno.test("hookline plugin check compares the declared hooks with the code, both ways", async () => {
  const manifest = manifestFields({ hooks: ["observe:final", "pre"] });
  const code = WATCHER_CODE.replace("postForward(", "onUnwind() {}, postForward(");
  await withPlugin({ manifest, code }, async ({ plugin }) => {
    const { document } = await pluginCall("check", plugin, ...INLINE);
    const messages = findings(document).filter(({ pointer }) => pointer === "/hooks");
    assert.deepEqual(messages.map(({ message }) => message), [
      'the code implements "error", which is not declared',
      '"pre" is declared, and the code has no method for it',
    ]);
    // Without loading it nothing is known of the code.
    const { document: unloaded } = await pluginCall("check", plugin, "--no-load");
    assert.equal(unloaded["status"], "good");
  });
});

Deno.test("hookline plugin check finds imports that leave what is signed", async () => {
  const code = `import "../outside.ts"; import "./mod_test.ts"; import x from "leftpad";
    import type { Y } from "../types.ts";
    // import "../comment.ts";
    ${WATCHER_CODE}`;
  await withPlugin({ code }, async ({ plugin }) => {
    const { document } = await pluginCall("check", plugin, "--no-load");
    assert.deepEqual(
      findings(document).filter(({ pointer }) => pointer === "/main")
        .map(({ severity, message }) => `${severity}: ${message.split('"')[1]}`),
      ["error: ../outside.ts", "error: ./mod_test.ts", "warning: leftpad"],
    );
  });
});

Deno.test("hookline plugin check --sign writes hashes, which then hold the files", async () => {
  await withPlugin({}, async ({ plugin }) => {
    const path = join(plugin, "plugin.json");
    const before = JSON.parse(readFileSync(path, "utf8"));
    const { document } = await pluginCall("check", plugin, "--sign", ...INLINE);
    assert.equal(document["signed"], true);
    assert.deepEqual(findings(document), []);
    const { integrity, ...others } = JSON.parse(readFileSync(path, "utf8"));
    assert.deepEqual(others, before);
    assert.deepEqual(Object.keys(integrity), ["./mod.ts"]);
    await Deno.writeTextFile(join(plugin, "mod.ts"), `${WATCHER_CODE}//`);
    const { document: changed } = await pluginCall("check", plugin, ...INLINE);
    assert.equal(findings(changed)[0]?.code, "HOOK_INTEGRITY_MODIFIED");
  });
});

Deno.test("hookline plugin check loads the code in a worker that can do nothing", async () => {
  const code = `let secret = "";
    try { secret = Deno.readTextFileSync(new URL("../secret.txt", import.meta.url)); } catch {}
    export default { createHook: () => secret === "" ? { postForward() {} } : {} };`;
  await withPlugin({ code }, async ({ plugin, folder }) => {
    await Deno.writeTextFile(join(folder, "secret.txt"), "secret");
    const grants = ["--unstable-worker-options", "-A"];
    const { stdout, code: status } = await hookline(["plugin", "check", plugin, "--json"], {
      grants,
    });
    assert.equal(status, 0, stdout);
    const inline = await pluginCall("check", plugin, ...INLINE);
    assert.equal(inline.document["status"], "bad");
  });
});

Deno.test("hookline plugin check says that there is no main module, and no plugin at all", async () => {
  await withPlugin({}, async ({ plugin, folder }) => {
    await Deno.remove(join(plugin, "mod.ts"));
    const { document } = await pluginCall("check", plugin, ...INLINE);
    assert.equal(findings(document)[0]?.pointer, "/main");
    const none = await pluginCall("check", join(folder, "nowhere"), ...INLINE);
    assert.equal(findings(none.document)[0]?.code, "PLUGIN_NOT_FOUND");
    assert.equal(none.document["name"], null);
  });
});
