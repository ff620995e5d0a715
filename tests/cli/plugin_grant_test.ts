import assert from "node:assert/strict";
import { join } from "node:path";
import { readGrants } from "../../manifest/grants.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { manifestFields, WATCHER_CODE } from "../manifest/_plugin_folders.ts";
import { called, documentOf, errorOf } from "./_hookline.ts";
import { pluginCall, withPlugin } from "./_plugin_calls.ts";

const BERT = fixturePath("torch", "bert", "model.onnx");
const PERMISSIONS = [
  { id: "read-activations", level: "stats", modules: ["**"], reason: "looks" },
  { id: "net", hosts: ["example.com"], reason: "sends" },
];
const MATCH = { modules: ["encoder.layer.*"] };

Deno.test("hookline plugin grant lets a plugin in, and refuses what is denied", async () => {
  const manifest = manifestFields({ permissions: PERMISSIONS, match: MATCH });
  await withPlugin({ manifest }, async ({ plugin, lock }) => {
    const explain = ["explain", BERT, "--provider", "cpu", "--plugin", plugin, "--lock", lock];
    const refused = errorOf(await called([...explain, "--json"]));
    assert.equal(refused["code"], "HOOK_PERMISSION_DENIED");
    assert.match(String(refused["fix"]), /hookline plugin grant/);
    const granted = await pluginCall(
      "grant",
      plugin,
      "--lock",
      lock,
      "--deny",
      "net",
      "--by",
      "me",
    );
    assert.deepEqual(granted.document["granted"], [
      { permission: "read-activations:stats on **", reason: "looks" },
    ]);
    assert.deepEqual(granted.document["denied"], ["net"]);
    assert.equal(readGrants(lock).plugins["watcher"]?.source, plugin);
    const document = documentOf(await called([...explain, "--json"]));
    const [shown] = document["plugins"] as { rights: unknown[]; enforcement: string }[];
    assert.equal(shown?.enforcement, "advisory");
    assert.equal(shown?.rights.length, 2);
    assert.deepEqual(document["order"], {
      "encoder.layer.0": ["watcher"],
      "encoder.layer.1": ["watcher"],
      "encoder.layer.2": ["watcher"],
    });
    const { stdout } = await called(explain);
    assert.match(stdout, /plugin watcher 1\.0\.0: inline \(advisory\), files granted/);
    assert.match(stdout, /net: granted by nobody; denied by me/);
  });
});

Deno.test("hookline plugin grant refuses unknown permissions and files that are not the signed ones", async () => {
  await withPlugin({}, async ({ plugin, lock }) => {
    const unknown = await called([
      "plugin",
      "grant",
      plugin,
      "--lock",
      lock,
      "--deny",
      "ffi",
      "--json",
    ]);
    assert.equal(errorOf(unknown)["code"], "CLI_USAGE");
    await pluginCall("check", plugin, "--sign", "--no-load");
    await Deno.writeTextFile(join(plugin, "mod.ts"), `${WATCHER_CODE}//`);
    const modified = await called(["plugin", "grant", plugin, "--lock", lock, "--json"]);
    assert.equal(errorOf(modified)["code"], "HOOK_INTEGRITY_MODIFIED");
    assert.deepEqual(readGrants(lock).plugins, {});
  });
});

Deno.test("hookline run takes plugins with options and an audit, and says what was denied", async () => {
  const manifest = manifestFields({ match: MATCH });
  const code = `export default { createHook: (_module, host) => ({
    postForward(_call, outputs) {
      for (const { data } of Object.values(outputs)) data[0] = host.options.value;
    } }) };`;
  await withPlugin({ manifest, code }, async ({ plugin, lock, folder }) => {
    await pluginCall("grant", plugin, "--lock", lock);
    const run = ["run", BERT, "--random", "1", "--dim", "batch=1", "--dim", "seq=4"];
    const plain = [...run, "--provider", "cpu", "--optimization", "disabled", "--json"];
    const audit = join(folder, "audit.jsonl");
    const withPlugins = [...plain, "--plugin", plugin, "--lock", lock, "--audit", audit];
    const bare = documentOf(await called(plain));
    const outcome = await called([...withPlugins, "--plugin-options", 'watcher={"value":9}']);
    const document = documentOf(outcome);
    assert.equal(document["plan"], "tapped");
    assert.deepEqual(document["outputs"], bare["outputs"]);
    // The model's own output is hidden, which nobody attempted: the audit has it, the count has not.
    assert.equal(document["denied"], 2);
    const lines = Deno.readTextFileSync(audit).trimEnd().split("\n").map((line) =>
      JSON.parse(line)
    );
    assert.equal(lines.filter(({ decision }) => decision === "deny").length, 3);
    const wrong = await called([...withPlugins, "--plugin-options", "other=1"]);
    assert.equal(errorOf(wrong)["code"], "CLI_USAGE");
    const bad = await called([...withPlugins, "--plugin-options", "watcher={"]);
    assert.equal(errorOf(bad)["code"], "CLI_USAGE");
  });
});

Deno.test("hookline plugin grant and check show what a plugin bounds itself to", async () => {
  const manifest = manifestFields({ budgets: { msPerCall: 5, retainedBytes: 2 ** 30 } });
  await withPlugin({ manifest }, async ({ plugin, lock }) => {
    const granted = await called(["plugin", "grant", plugin, "--lock", lock]);
    assert.match(granted.stdout, /bounds itself to 5 ms a call, 1\.00 GiB kept/);
    const checked = await pluginCall("check", plugin, "--no-load");
    assert.deepEqual(checked.document["budgets"], { msPerCall: 5, retainedBytes: 2 ** 30 });
  });
});

Deno.test("a manifest cannot write over what a terminal shows of it", async () => {
  const hidden = "\u001b[1A\u001b[2K";
  for (const change of [{ description: hidden }, { name: hidden }, { [hidden]: 1 }]) {
    await withPlugin({ manifest: manifestFields(change) }, async ({ plugin, lock }) => {
      for (const args of [["check", plugin], ["grant", plugin, "--lock", lock]]) {
        const { stdout, stderr } = await called(["plugin", ...args]);
        assert.ok(!(stdout + stderr).includes("\u001b"), stdout + stderr);
      }
    });
  }
});
