import assert from "node:assert/strict";
import { ModelHook } from "../../hooks/model_hook.ts";
import { attachPlugins, requirePresent } from "../../pipeline/attach_plugins.ts";
import type { Plugin } from "../../pipeline/plugin.ts";
import { openChain } from "./_loaded_plugins.ts";

class Watch extends ModelHook {
  constructor(override readonly name: string) {
    super();
  }
  override postForward(): void {}
}

/** A plugin that notes what is done with it. */
function noting(name: string, notes: string[], changes: Partial<Plugin> = {}): Plugin {
  return {
    name,
    prepare: (_model, { modelName }) =>
      Promise.resolve(void notes.push(`prepare ${name} ${modelName}`)),
    attach(model) {
      notes.push(`attach ${name}`);
      return model.registry("layers.0").register(new Watch(name));
    },
    ...changes,
  };
}

Deno.test("attachPlugins() prepares and attaches by name, and takes all of them off again", async () => {
  const notes: string[] = [];
  await using model = await openChain();
  {
    await using _attached = await attachPlugins(
      model,
      [noting("b", notes), noting("a", notes)],
      "m",
    );
    assert.deepEqual(notes, ["prepare a m", "attach a", "prepare b m", "attach b"]);
    assert.deepEqual(model.registry("layers.0").names, ["a", "b"]);
  }
  assert.equal(model.plan().kind, "whole");
});

Deno.test("attachPlugins() leaves the model as it was when one of them fails", async () => {
  const notes: string[] = [];
  await using model = await openChain();
  const failing = noting("z", notes, {
    prepare: () => Promise.reject(new Error("not ready")),
  });
  await assert.rejects(attachPlugins(model, [failing, noting("a", notes)]), /not ready/);
  assert.equal(model.registry("layers.0").size, 0);
});

Deno.test("attachPlugins() refuses two of a name and absent requirements, before anything is attached", async () => {
  const notes: string[] = [];
  await using model = await openChain();
  const twice = [noting("a", notes), noting("a", notes)];
  await assert.rejects(attachPlugins(model, twice), { code: "PIPELINE_INVALID" });
  const needy = noting("a", notes, { requires: ["b"] });
  await assert.rejects(attachPlugins(model, [needy]), { code: "HOOK_ORDER_UNKNOWN" });
  assert.deepEqual(notes, []);
  requirePresent([needy], new Set(["a", "b"]));
});
