import assert from "node:assert/strict";
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "../suites.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { manifestFields } from "../manifest/_plugin_folders.ts";
import { called } from "./_hookline.ts";
import { pluginCall, type PluginPlace, withPlugin } from "./_plugin_calls.ts";

const MANIFEST = manifestFields({
  match: { modules: ["encoder.layer.0"] },
  permissions: [
    { id: "read-activations", level: "values", modules: ["**"], reason: "r" },
    { id: "fs-write", paths: ["$OUT/traces"], reason: "r" },
    { id: "env", names: ["HOOKLINE_TEST_A"], reason: "r" },
  ],
});
const CODE = `let sink;
export default {
  createHook: (_module, host) => ({
    postForward() {
      sink ??= host.openSink("a.txt");
      sink.write(host.env.HOOKLINE_TEST_A + " was seen");
    },
  }),
};`;

/** An application that opens a model with a plugin and runs it once. */
function application(
  { folder, plugin, lock }: PluginPlace,
  engine: string,
  level = "inline",
): string {
  return `import { attachPlugins, loadPlugin, openModel, randomInputs } from ${
    JSON.stringify(pathToFileURL(join(ROOT, "mod.ts")).href)
  };
  await using model = await openModel(${JSON.stringify(join(folder, "model", "bert.onnx"))}, {
    provider: "cpu", engine: ${JSON.stringify(engine)},
  });
  await using plugin = await loadPlugin(${JSON.stringify(plugin)}, {
    lockFile: ${JSON.stringify(lock)}, outputFolder: ${JSON.stringify(folder)},
    level: ${JSON.stringify(level)}, unstableWorkerOptions: true,
  });
  await using _attached = await attachPlugins(model, [plugin]);
  await model.run(randomInputs(1, model.inputs, { batch: 1, seq: 4 }));`;
}

async function run(script: string, flags: readonly string[]): Promise<number> {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--config", join(ROOT, "deno.json"), ...flags, script],
    env: { HOOKLINE_TEST_A: "it", NO_COLOR: "1" },
    stdin: "null",
  }).output();
  return code;
}

Deno.test("hookline plugin run-flags prints flags that suffice, none of which can be left out", async () => {
  await withPlugin({ manifest: MANIFEST, code: CODE }, async (place) => {
    const { folder, plugin, lock } = place;
    await Deno.mkdir(join(folder, "model"));
    const model = join(folder, "model", "bert.onnx");
    copyFileSync(fixturePath("torch", "bert", "model.onnx"), model);
    await pluginCall("grant", plugin, "--lock", lock);
    const { document } = await pluginCall(
      ...["run-flags", "--model", model, "--plugin", plugin],
      ...["--lock", lock, "--plugin-output", folder],
    );
    const flags = document["flags"] as string[];
    const script = join(folder, "app.ts");
    await Deno.writeTextFile(script, application(place, "napi"));
    assert.equal(await run(script, flags), 0, flags.join(" "));
    const written = join(folder, "traces", "a.txt");
    assert.equal(await Deno.readTextFile(written), "it was seen");
    for (const flag of flags.filter((one) => /^--allow-(ffi|read|write)/.test(one))) {
      await Deno.remove(join(folder, "traces"), { recursive: true }).catch(() => {});
      const status = await run(script, flags.filter((one) => one !== flag));
      assert.ok(status !== 0 || !existsSync(written), `${flag} is not needed`);
    }
    // Each path of the list is needed as well.
    const read = flags.find((one) => one.startsWith("--allow-read=")) ?? "";
    const paths = read.slice("--allow-read=".length).split(",");
    assert.equal(paths.length, 4);
    for (const path of paths) {
      await Deno.remove(join(folder, "traces"), { recursive: true }).catch(() => {});
      const fewer = `--allow-read=${paths.filter((one) => one !== path).join(",")}`;
      const status = await run(script, flags.map((one) => one === read ? fewer : one));
      assert.ok(status !== 0 || !existsSync(written), `reading ${path} is not needed`);
    }
  });
});

Deno.test("hookline plugin run-flags prints them on one line, as a shell takes them", async () => {
  await withPlugin(
    { manifest: manifestFields({ isolation: "worker" }) },
    async ({ plugin, lock }) => {
      await pluginCall("grant", plugin, "--lock", lock);
      const { stdout } = await called(["plugin", "run-flags", "--plugin", plugin, "--lock", lock]);
      assert.match(
        stdout,
        /^--no-prompt --allow-env=ORT_DISABLE_TELEMETRY .*--unstable-worker-options\n$/,
      );
    },
  );
});

Deno.test("hookline plugin run-flags names a model that is not there", async () => {
  const outcome = await called(["plugin", "run-flags", "--model", "/none.onnx", "--json"]);
  assert.match(outcome.stdout, /MODEL_NOT_FOUND/);
  assert.equal(outcome.code, 2);
});

Deno.test("hookline plugin run-flags prints flags that suffice for workers and processes", async () => {
  await withPlugin({ manifest: MANIFEST, code: CODE }, async (place) => {
    const { folder, plugin, lock } = place;
    const model = join(folder, "model", "bert.onnx");
    await Deno.mkdir(join(folder, "model"));
    copyFileSync(fixturePath("torch", "bert", "model.onnx"), model);
    await pluginCall("grant", plugin, "--lock", lock);
    for (const level of ["worker", "process"]) {
      const { document } = await pluginCall(
        ...["run-flags", "--model", model, "--plugin", plugin],
        ...["--lock", lock, "--plugin-output", folder, "--plugin-level", level],
      );
      const script = join(folder, `${level}.ts`);
      await Deno.writeTextFile(script, application(place, "napi", level));
      const flags = document["flags"] as string[];
      assert.equal(await run(script, flags), 0, flags.join(" "));
    }
  });
});
