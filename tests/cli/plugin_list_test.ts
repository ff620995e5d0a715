import assert from "node:assert/strict";
import { join } from "node:path";
import { manifestFields, WATCHER_CODE, writePlugin } from "../manifest/_plugin_folders.ts";
import { called } from "./_hookline.ts";
import { pluginCall, withPlugin } from "./_plugin_calls.ts";

async function state(lock: string): Promise<unknown> {
  const { document } = await pluginCall("list", "--lock", lock);
  return (document["plugins"] as { state: string }[])[0]?.state;
}

Deno.test("hookline plugin list says how each plugin stands to what was granted", async () => {
  await withPlugin({}, async ({ plugin, lock }) => {
    assert.match((await called(["plugin", "list", "--lock", lock])).stdout, /nothing is granted/);
    await pluginCall("grant", plugin, "--lock", lock);
    assert.equal(await state(lock), "granted");
    await Deno.writeTextFile(join(plugin, "mod.ts"), `${WATCHER_CODE}//`);
    assert.equal(await state(lock), "HOOK_INTEGRITY_MODIFIED");
    const permissions = [{ id: "net", hosts: ["a.b"], reason: "r" }];
    await writePlugin(plugin, { manifest: manifestFields({ version: "2.0.0", permissions }) });
    assert.equal(await state(lock), "HOOK_PERMISSION_WIDENED");
    await writePlugin(plugin, { manifest: manifestFields({ version: "2.0.0" }) });
    assert.equal(await state(lock), "HOOK_INTEGRITY_UNSIGNED");
    await pluginCall("check", plugin, "--sign", "--no-load");
    assert.equal(await state(lock), "upgraded");
    await Deno.remove(plugin, { recursive: true });
    assert.equal(await state(lock), "PLUGIN_NOT_FOUND");
    const { stdout } = await called(["plugin", "list", "--lock", lock]);
    assert.match(stdout, /watcher 1\.0\.0: PLUGIN_NOT_FOUND, granted by application/);
  });
});
