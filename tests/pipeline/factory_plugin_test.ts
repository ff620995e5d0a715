import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "../suites.ts";
import { manifestFields, withFolder } from "../manifest/_plugin_folders.ts";
import { attached, loaded, openChain } from "./_loaded_plugins.ts";
import { chainFeeds, chainOutput, first } from "./_small_models.ts";

const CORE = pathToFileURL(join(ROOT, "mod.ts")).href;

/** A factory that registers one hook of this access on the first layer. */
function factoryCode(access: "observe" | "edit"): string {
  return `import { ModelHook } from ${JSON.stringify(CORE)};
  class Hook extends ModelHook {
    name = "made";
    access = ${JSON.stringify(access)};
    constructor(options) { super(); this.options = options; }
    postForward() { globalThis.factoryOptions = this.options; }
  }
  export function make(options) {
    return { name: "made", attach: (model) => model.registry("layers.0").register(new Hook(options)) };
  }
  export const wrong = () => ({});
  `;
}

Deno.test("a factory plugin registers its hooks by itself, with the application's options", async () => {
  await withFolder(async (folder) => {
    const manifest = manifestFields({ factory: "make" });
    const plugin = await loaded(folder, { manifest, code: factoryCode("observe") }, {
      options: { depth: 1 },
    });
    assert.equal(plugin.level, "inline");
    await using model = await openChain();
    assert.throws(() => plugin.attach(model, { modelName: "chain" }), { code: "PIPELINE_INVALID" });
    using _attachment = await attached(plugin, model) as unknown as Disposable;
    assert.equal(model.plan().kind, "tapped");
    assert.equal(first(await model.run(chainFeeds(1))), chainOutput(1));
    assert.deepEqual((globalThis as { factoryOptions?: unknown }).factoryOptions, { depth: 1 });
  });
});

Deno.test("a factory plugin that registers more than it declares is taken off again", async () => {
  await withFolder(async (folder) => {
    await using model = await openChain();
    const cases = [
      [manifestFields({ factory: "make" }), factoryCode("edit"), /has access edit/],
      [manifestFields({ factory: "make", hooks: ["pre"] }), factoryCode("observe"), /undeclared/],
    ] as const;
    for (const [index, [manifest, code, message]] of cases.entries()) {
      const plugin = await loaded(join(folder, String(index)), { manifest, code });
      await assert.rejects(attached(plugin, model), (error: Error & { code: string }) => {
        assert.equal(error.code, "HOOK_ACCESS");
        assert.match(error.message, message);
        return true;
      });
      assert.equal(model.plan().kind, "whole");
      assert.equal(model.registry("layers.0").size, 0);
    }
  });
});

Deno.test("a factory plugin without its factory answers PLUGIN_MODULE", async () => {
  await withFolder(async (folder) => {
    await using model = await openChain();
    for (const factory of ["absent", "wrong"]) {
      const manifest = manifestFields({ factory });
      const plugin = await loaded(join(folder, factory), {
        manifest,
        code: factoryCode("observe"),
      });
      await assert.rejects(attached(plugin, model), { code: "PLUGIN_MODULE" });
    }
  });
});

Deno.test("a factory plugin that is taken off again lets go of what it opened", async () => {
  await withFolder(async (folder) => {
    const code = factoryCode("edit").replace(
      "attach: (model) => model",
      "attach: (model) => { model",
    ).replace(
      "register(new Hook(options)) };",
      `register(new Hook(options));
        return { [Symbol.dispose]() { globalThis.factoryReleases = (globalThis.factoryReleases ?? 0) + 1; } };
      } };`,
    );
    const plugin = await loaded(folder, { manifest: manifestFields({ factory: "make" }), code });
    await using model = await openChain();
    await assert.rejects(attached(plugin, model), { code: "HOOK_ACCESS" });
    assert.equal((globalThis as { factoryReleases?: number }).factoryReleases, 1);
  });
});
