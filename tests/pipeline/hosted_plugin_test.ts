import assert from "node:assert/strict";
import { join } from "node:path";
import { definePipeline } from "../../pipeline/pipeline.ts";
import type { LoadedPlugin } from "../../pipeline/load_plugin.ts";
import {
  keptAudit,
  manifestFields,
  transformerFields,
  withFolder,
} from "../manifest/_plugin_folders.ts";
import { affineCode, attached, loaded, openChain } from "./_loaded_plugins.ts";
import { chainFeeds, chainModel, chainOutput, first } from "./_small_models.ts";

const COUNTING = `export default {
  createHook: (module, host) => module.path === "layers.1" ? null : ({
    postForward: (call, outputs) => host.log(module.path + ":" + Object.keys(outputs).length),
  }),
  close() { globalThis.closedPlugins = (globalThis.closedPlugins ?? 0) + 1; },
};`;
const LAYERS = { modules: ["layers.*"] };

Deno.test("a hosted plugin hooks the modules that it matches, in a pipeline, and ends with it", async () => {
  await withFolder(async (folder) => {
    const lines: string[] = [];
    const plugin = await loaded(folder, {
      manifest: manifestFields({ match: LAYERS }),
      code: COUNTING,
    }, {
      log: (line) => void lines.push(line),
    });
    const before = (globalThis as { closedPlugins?: number }).closedPlugins ?? 0;
    {
      await using pipeline = await definePipeline({
        models: { chain: chainModel() },
        provider: "cpu",
        plugins: [plugin],
      }).open();
      const model = pipeline.models.chain;
      assert.equal(model.plan().kind, "tapped");
      assert.equal(first(await model.run(chainFeeds(1))), chainOutput(1));
      // The last layer's output is the model's own, which the plugin has no right to see.
      assert.deepEqual(lines, ["layers.0:1", "layers.2:0"]);
      assert.equal(plugin.tally.calls, 2);
    }
    assert.equal((globalThis as { closedPlugins?: number }).closedPlugins, before + 1);
  });
});

Deno.test("a hosted transformer changes what the rights let it change", async () => {
  await withFolder(async (folder) => {
    const manifest = transformerFields({ match: { modules: ["layers.0"] } });
    const plugin = await loaded(folder, { manifest, code: affineCode(2, 0) });
    await using model = await openChain();
    {
      await using _attachment = await attached(plugin, model);
      const found = first(await model.run(chainFeeds(1)));
      assert.equal(found, chainOutput(1, 3, (layer, value) => layer === 0 ? value * 2 : value));
    }
    assert.equal(first(await model.run(chainFeeds(1))), chainOutput(1));
    assert.equal(model.plan().kind, "whole");
  });
});

Deno.test("a hosted plugin stays within its rights' modules, its excludes, and what the application chose", async () => {
  await withFolder(async (folder) => {
    const reads = (modules: readonly string[]) => [
      { id: "read-activations", level: "values", modules, reason: "r" },
    ];
    const { audit, entries } = keptAudit();
    const code = COUNTING.replace('module.path === "layers.1" ? null : ', "");
    const narrow = await loaded(folder, {
      manifest: manifestFields({ match: LAYERS, permissions: reads(["layers.[0-1]"]) }),
      code,
    }, { audit });
    await using model = await openChain();
    {
      await using _attachment = await attached(narrow, model);
      assert.deepEqual(Object.keys(model.explainDocument().order), ["layers.0", "layers.1"]);
      assert.deepEqual(entries.map(({ value, decision }) => [value, decision]), [[
        "layers.2",
        "deny",
      ]]);
    }
    const excluding = await loaded(folder, {
      manifest: manifestFields({ match: { ...LAYERS, exclude: ["*.1"] } }),
      code,
    });
    {
      await using _attachment = await attached(excluding, model);
      assert.deepEqual(Object.keys(model.explainDocument().order), ["layers.0", "layers.2"]);
    }
    const chosen = await loaded(folder, { manifest: manifestFields(), code }, {
      modules: "layers.2.scale",
    });
    await using _attachment = await attached(chosen, model);
    assert.deepEqual(Object.keys(model.explainDocument().order), ["layers.2.scale"]);
  });
});

Deno.test("a hosted plugin that matches nothing, or the wrong provider, does not attach", async () => {
  await withFolder(async (folder) => {
    await using model = await openChain();
    const cases = [
      [{ match: { modules: ["blocks.*"] } }, "HOOK_MATCH_EMPTY"],
      [{ match: { ...LAYERS, eps: ["cuda"] } }, "PLUGIN_UNSUITED"],
      [{ match: LAYERS, engines: { "onnxruntime-node": "<1" } }, "PLUGIN_UNSUITED"],
    ] as const;
    for (const [changes, code] of cases) {
      const plugin = await loaded(folder, { manifest: manifestFields(changes), code: COUNTING });
      await assert.rejects(attached(plugin, model), { code });
    }
    const plugin = await loaded(folder, {
      manifest: manifestFields({ match: LAYERS }),
      code: COUNTING,
    });
    assert.throws(() => plugin.attach(model, { modelName: "chain" }), { code: "PIPELINE_INVALID" });
    assert.equal(model.plan().kind, "whole");
  });
});

Deno.test("a hosted plugin's hooks are exactly those that it declares", async () => {
  await withFolder(async (folder) => {
    await using model = await openChain();
    const cases = [
      [["observe:final", "pre"], /declares pre without a method/],
      [["pre"], /implements observe:final undeclared and declares pre/],
    ] as const;
    for (const [hooks, message] of cases) {
      const manifest = manifestFields({ match: LAYERS, hooks });
      const plugin = await loaded(folder, { manifest, code: COUNTING });
      await assert.rejects(attached(plugin, model), (error: Error & { code: string }) => {
        assert.equal(error.code, "HOOK_ACCESS");
        assert.match(error.message, message);
        return true;
      });
    }
  });
});

Deno.test("five plugins in every order of registration give one order, one plan and one output", async () => {
  await withFolder(async (folder) => {
    const match = { modules: ["layers.0", "layers.1"] };
    const transformer = (name: string, order: object, [factor, term]: readonly [number, number]) =>
      loaded(folder, {
        manifest: transformerFields({ name, match, order }),
        code: affineCode(factor, term),
      });
    const plugins: LoadedPlugin[] = [
      await transformer("add-three", {}, [1, 3]),
      await transformer("double", { after: ["triple"] }, [2, 0]),
      await transformer("negate", { before: ["add-three"] }, [-1, 0]),
      await transformer("triple", {}, [3, 1]),
      await loaded(folder, { manifest: manifestFields({ name: "watch", match }), code: COUNTING }),
    ];
    const outcomes = new Set<string>();
    let count = 0;
    await using model = await openChain();
    for (const order of permutations(plugins)) {
      await using stack = new AsyncDisposableStack();
      for (const plugin of order) stack.use(await attached(plugin, model));
      const document = model.explainDocument();
      const output = first(await model.run(chainFeeds(1)));
      outcomes.add(JSON.stringify([document.order, document.planHash, output]));
      count++;
    }
    assert.equal(count, 120);
    assert.equal(outcomes.size, 1);
    const [order] = JSON.parse([...outcomes][0] ?? "[]") as [Record<string, string[]>];
    assert.deepEqual(order["layers.0"], ["negate", "add-three", "triple", "double", "watch"]);
  });
});

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) =>
    permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest])
  );
}

Deno.test("a hosted plugin ends when nothing came of it, and can be prepared again", async () => {
  await withFolder(async (folder) => {
    const closed = (): number => (globalThis as { closedPlugins?: number }).closedPlugins ?? 0;
    const plugin = await loaded(folder, {
      manifest: manifestFields({ match: LAYERS, hooks: ["pre"] }),
      code: COUNTING,
    });
    await using model = await openChain();
    const before = closed();
    await assert.rejects(attached(plugin, model), { code: "HOOK_ACCESS" });
    assert.equal(closed(), before + 1);
    const good = await loaded(folder, {
      manifest: manifestFields({ match: LAYERS }),
      code: COUNTING,
    });
    await good.prepare?.(model, { modelName: "chain" });
    await good.close();
    assert.throws(() => good.attach(model, { modelName: "chain" }), { code: "PIPELINE_INVALID" });
    {
      await using _attachment = await attached(good, model);
      // A second plugin of the name is refused, and ends.
      const twin = await loaded(folder, {
        manifest: manifestFields({ match: LAYERS }),
        code: COUNTING,
      });
      await assert.rejects(attached(twin, model), { code: "HOOK_NAME_DUPLICATE" });
    }
    assert.equal(model.plan().kind, "whole");
  });
});

Deno.test("a pipeline refuses a plugin whose required one is absent", async () => {
  await withFolder(async (folder) => {
    const manifest = manifestFields({ match: LAYERS, order: { requires: ["other"] } });
    const plugin = await loaded(folder, { manifest, code: COUNTING });
    const define = () => definePipeline({ models: { a: chainModel() }, plugins: [plugin] });
    assert.throws(define, { code: "HOOK_ORDER_UNKNOWN", message: /requires "other"/ });
  });
});

Deno.test("a plugin in a process of its own gives the bits that it gives inline", async () => {
  await withFolder(async (folder) => {
    const manifest = transformerFields({ match: { modules: ["layers.0"] } });
    await using model = await openChain();
    const outputs: number[] = [];
    for (const level of ["inline", "process"] as const) {
      const plugin = await loaded(join(folder, level), { manifest, code: affineCode(2, 1) }, {
        level,
      });
      await using _attachment = await attached(plugin, model);
      outputs.push(first(await model.run(chainFeeds(3))));
    }
    assert.equal(outputs[0], outputs[1]);
    assert.notEqual(outputs[0], chainOutput(3));
  });
});

Deno.test("undeclared methods are refused at the level worker as they are inline", async () => {
  await withFolder(async (folder) => {
    const code = COUNTING.replace("postForward:", "preForward() {}, postForward:");
    for (const level of ["inline", "worker"] as const) {
      const manifest = manifestFields({ name: level, match: LAYERS });
      const plugin = await loaded(folder, { manifest, code }, {
        level,
        unstableWorkerOptions: true,
      });
      await using model = await openChain();
      await assert.rejects(attached(plugin, model), {
        code: "HOOK_ACCESS",
        message: /implements pre undeclared/,
      });
    }
  });
});
