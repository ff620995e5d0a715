import assert from "node:assert/strict";
import { HooklineError } from "../../errors/hookline_error.ts";
import { traceStep } from "../../hooks/forward_context.ts";
import type { ModelHook } from "../../hooks/model_hook.ts";
import { definePipeline, type PipelineDefinition } from "../../pipeline/pipeline.ts";
import type { Plugin } from "../../pipeline/plugin.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { hook, mapped, scaleOutputs } from "./_hooks.ts";
import { chainFeeds, chainModel, chainOutput, first } from "./_small_models.ts";
import { SpyEngine } from "./_spy_engine.ts";

/** A plugin that registers a hook on one module of every model, and notes when it is disposed. */
function plugin(
  name: string,
  log: string[],
  make: (name: string) => ModelHook = (hookName) => scaleOutputs(hookName, 1),
): Plugin {
  return {
    name,
    attach(model, { modelName }) {
      const handle = model.registry("layers.0").register(make(name), { plugin: name });
      log.push(`attach ${name} to ${modelName}`);
      return {
        async [Symbol.asyncDispose]() {
          await handle.remove();
          log.push(`dispose ${name} of ${modelName}`);
        },
      };
    },
  };
}

const MODELS = { text: chainModel(1), unet: { source: chainModel(3), threads: 1 } };

Deno.test("a pipeline opens its models and runs them in steps", async () => {
  const seen: (number | null)[] = [];
  const recipe = definePipeline({
    models: MODELS,
    provider: "cpu",
    plugins: [
      plugin(
        "see",
        [],
        (name) => hook({ name, postForward: (call) => void seen.push(call.step) }),
      ),
    ],
  });
  assert.equal(sessionLedger.count, 0);
  for (let round = 0; round < 2; round++) {
    await using pipeline = await recipe.open();
    assert.deepEqual(Object.keys(pipeline.models), ["text", "unet"]);
    let x = first(await pipeline.models.text.run(chainFeeds(1)));
    assert.equal(x, chainOutput(1, 1));
    for (let step = 0; step < 3; step++) {
      x = first(await traceStep(step, () => pipeline.models.unet.run(chainFeeds(x))));
    }
    assert.equal(x, chainOutput(chainOutput(chainOutput(3))));
  }
  assert.deepEqual(seen, [null, 0, 1, 2, null, 0, 1, 2]);
  assert.equal(sessionLedger.count, 0);
});

Deno.test("plugins attached in any order give the same result and the same plan", async () => {
  const add = (amount: number) => (name: string) =>
    hook({
      name,
      access: "edit",
      postForward: (_call, outputs) => mapped(outputs, (value) => value * 10 + amount),
    });
  const results = new Set<string>();
  for (const order of ["abc", "cba", "bca"]) {
    await using pipeline = await definePipeline({
      models: MODELS,
      provider: "cpu",
      plugins: [...order].map((name) => plugin(name, [], add(name.charCodeAt(0) - 96))),
    }).open();
    const { unet } = pipeline.models;
    results.add(`${first(await unet.run(chainFeeds(1)))} ${unet.plan().hash}`);
  }
  assert.equal(results.size, 1);
  const wanted = chainOutput(1, 3, (layer, value) => layer === 0 ? value * 1000 + 321 : value);
  assert.ok([...results][0]?.startsWith(`${wanted} `));
});

Deno.test("closing a pipeline disposes plugins and models in reverse, once", async () => {
  const log: string[] = [];
  const pipeline = await definePipeline({
    models: MODELS,
    provider: "cpu",
    plugins: [plugin("b", log), plugin("a", log)],
  }).open();
  const { text } = pipeline.models;
  await text.run(chainFeeds(1));
  await pipeline.close();
  await pipeline.close();
  assert.deepEqual(log, [
    "attach b to text",
    "attach a to text",
    "attach b to unet",
    "attach a to unet",
    "dispose a of unet",
    "dispose b of unet",
    "dispose a of text",
    "dispose b of text",
  ]);
  await expectCode("MODEL_CLOSED", () => text.run(chainFeeds(1)));
  assert.equal(sessionLedger.count, 0);
});

Deno.test("a pipeline that fails to open leaves nothing open", async () => {
  const broken = new Error("no");
  const failing: Plugin = {
    name: "failing",
    attach(_model, { modelName }) {
      if (modelName === "unet") throw broken;
    },
  };
  // Opens a session while it is attached, so that there is something to leave open.
  const eager: Plugin = {
    name: "eager",
    attach(model) {
      const ready = model.prepare();
      return { [Symbol.asyncDispose]: () => ready };
    },
  };
  const log: string[] = [];
  const open = (parts: Partial<PipelineDefinition<"text" | "unet">>) =>
    definePipeline({
      models: MODELS,
      provider: "cpu",
      engine: new SpyEngine(),
      plugins: [eager, plugin("good", log), failing],
      ...parts,
    }).open();
  const failed = await expectCode("PIPELINE_INVALID", () => open({}));
  assert.equal(failed.cause, broken);
  assert.match(failed.message, /plugin "failing" to "unet": it threw: no/);
  assert.deepEqual(log.filter((line) => line.startsWith("dispose")), [
    "dispose good of unet",
    "dispose good of text",
  ]);
  assert.equal(sessionLedger.count, 0);
  await expectCode("MODEL_NOT_FOUND", () => open({ models: { ...MODELS, unet: "/nowhere.onnx" } }));
  assert.equal(sessionLedger.count, 0);
});

Deno.test("definePipeline() refuses a pipeline without models and two plugins of one name", async () => {
  await expectCode("PIPELINE_INVALID", () => definePipeline({ models: {} }));
  const two = [plugin("a", []), plugin("a", [])];
  const error = await expectCode(
    "PIPELINE_INVALID",
    () => definePipeline({ models: MODELS, plugins: two }),
  );
  assert.match(error.message, /"a"/);
});

Deno.test("definePipeline() says which model or plugin is missing or incomplete", async () => {
  const cases: readonly [unknown, RegExp][] = [
    [undefined, /models are missing/],
    [{ plugins: [] }, /models are missing/],
    [{ models: { text: MODELS.text, unet: undefined } }, /"unet" is missing/],
    [{ models: { text: null } }, /"text" is missing/],
    [{ models: { text: { source: undefined } } }, /"text" is missing/],
    [{ models: MODELS, plugins: {} }, /no list/],
    [{ models: MODELS, plugins: [plugin("a", []), null] }, /plugin 1 has no name/],
    [{ models: MODELS, plugins: [{ attach: () => {} }] }, /plugin 0 has no name/],
    [{ models: MODELS, plugins: [{ name: "a" }] }, /"a" has no attach/],
  ];
  for (const [definition, message] of cases) {
    const error = await expectCode("PIPELINE_INVALID", () => definePipeline(definition as never));
    assert.match(error.message, message);
  }
});

Deno.test("a pipeline refuses a plugin that attaches asynchronously or returns junk", async () => {
  const open = (attach: () => unknown) =>
    definePipeline({
      models: MODELS,
      provider: "cpu",
      plugins: [{ name: "odd", attach } as Plugin],
    }).open();
  const cases: readonly [() => unknown, RegExp][] = [
    [() => Promise.reject(new Error("late")), /"odd" to "text": its attach\(\) returned a promise/],
    [() => 3, /cannot be disposed of/],
    [() => null, /cannot be disposed of/],
    [() => ({}), /cannot be disposed of/],
    [() => {
      throw Object.create(null);
    }, /it threw: a value/],
  ];
  for (const [attach, message] of cases) {
    const error = await expectCode("PIPELINE_INVALID", () => open(attach));
    assert.match(error.message, message);
    assert.deepEqual(error.details, { plugin: "odd", model: "text" });
  }
  await new Promise((resolve) => setTimeout(resolve, 5)); // the late rejection ends nothing
  const coded = new HooklineError("OPTION_INVALID", { message: "m", fix: "f" });
  const same = await expectCode("OPTION_INVALID", () =>
    open(() => {
      throw coded;
    }));
  assert.equal(same, coded);
  assert.equal(sessionLedger.count, 0);
});

Deno.test("a pipeline's options go to openModel(), which refuses a misspelt one", async () => {
  const error = await expectCode(
    "OPTION_INVALID",
    () => definePipeline({ models: MODELS, optimisation: "all" } as never).open(),
  );
  assert.equal(error.fix, 'did you mean "optimization"?');
  await using _ = await definePipeline({ models: MODELS, provider: "cpu", optimization: "basic" })
    .open();
});
