// A trace from attaching to detaching: what is registered, what is recorded, what stays behind.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import {
  definePipeline,
  float32,
  HooklineError,
  HookRegistry,
  type Model,
  ModelHook,
  openModel,
  traceStep,
  withContext,
} from "../../../mod.ts";
import { activationTrace } from "../../../plugins/activation_trace/mod.ts";
import type { ActivationTraceOptions } from "../../../plugins/activation_trace/options.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import {
  bertFeeds,
  chainFeeds,
  chainModel,
  inFolder,
  type Line,
  linesOf,
  openBert,
  recordsOf,
} from "./_traced.ts";

function attach(model: Model, options: ActivationTraceOptions) {
  const trace = activationTrace(options).attach(model, { modelName: "m" });
  assert.ok(trace !== undefined);
  return trace;
}

Deno.test(
  "a trace that is off registers, plans and opens nothing",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await chainModel();
    const before = model.plan();
    const plugin = activationTrace({ enabled: false, output });
    assert.equal(plugin.attach(model, { modelName: "m" }), undefined);
    assert.equal(HookRegistry.all(model).length, 0);
    assert.equal(model.plan().hash, before.hash);
    assert.equal(model.plan().kind, "whole");
    await model.run(chainFeeds(1));
    assert.equal(existsSync(output), false);
  }),
);

Deno.test(
  "records have FastVideo's keys first, the asked statistics in order, then call, seq, context, run",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await chainModel();
    await using trace = attach(model, { output, stats: "shape,max,abs_mean" });
    await model.run(chainFeeds(1, 2));
    assert.deepEqual(trace.modules, ["a", "b", "c"]);
    assert.equal(trace.recordCount, 3);
    const [header, first, second] = readFileSync(output, "utf8").split("\n");
    assert.match(header ?? "", /^\{"type":"header"/);
    assert.equal(
      first,
      '{"module":"a","tensor":"out","step":null,"shape":[2],"max":4,"abs_mean":3,' +
        '"call":0,"seq":0,"context":"default","run":0}',
    );
    assert.equal(JSON.parse(second ?? "")["max"], 6);
  }),
);

Deno.test(
  "the header tells model, plan, versions, provider and settings, the file's hash on request",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await openBert();
    await using trace = attach(model, { output, layers: "layer\\.0$", steps: "0", fileHash: true });
    await traceStep(0, () => model.run(bertFeeds(model)));
    const [header] = linesOf(output);
    assert.equal(trace.modules.length, 1);
    const { versions, planHash, structureHash, fileSha256, ...rest } = header as Line;
    assert.equal(planHash, model.plan().hash);
    assert.equal(structureHash, model.structureHash);
    const bytes = Deno.readFileSync(fixturePath("torch/bert/model.onnx"));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    assert.equal(fileSha256, digest);
    assert.deepEqual(Object.keys(versions as object), ["hookline", "onnxruntime", "runtime"]);
    assert.deepEqual({ ...rest, threads: 0 }, {
      type: "header",
      format: "hookline-trace",
      formatVersion: 1,
      run: 0,
      name: "m",
      model: "model.onnx",
      plan: "tapped",
      provider: "cpu",
      engine: "native",
      optimization: "all",
      threads: 0,
      modules: 1,
      untraced: [],
      layers: "/layer\\.0$/",
      stats: ["abs_mean", "sum"],
      steps: [0],
      inputs: false,
    });
  }),
);

Deno.test(
  "a switch leaves the header out, and the run number with it",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await chainModel();
    await using _trace = attach(model, { output, header: false });
    await model.run(chainFeeds(1));
    const lines = linesOf(output);
    assert.equal(lines.length, 3);
    assert.equal("run" in (lines[0] ?? {}), false);
  }),
);

Deno.test(
  "equal runs give equal bytes, call and seq counted on",
  inFolder(async (folder) => {
    const traceOnce = async (output: string): Promise<string> => {
      await using model = await openBert();
      await using _trace = attach(model, { output, stats: "abs_mean,sum,std,p50" });
      await model.run(bertFeeds(model));
      await model.run(bertFeeds(model));
      return readFileSync(output, "utf8");
    };
    const text = await traceOnce(`${folder}/1.jsonl`);
    assert.equal(await traceOnce(`${folder}/2.jsonl`), text);
    const records = recordsOf(`${folder}/1.jsonl`);
    const [first, second] = [records.slice(0, 54), records.slice(54)];
    assert.deepEqual(
      second,
      first.map((line, index) => ({ ...line, call: 1, seq: 54 + index })),
    );
  }),
);

Deno.test(
  "NaN and infinities are JSON that every parser takes, and their counts say how many",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await chainModel();
    await using _trace = attach(model, { output, stats: "sum,max,min,nan_count,inf_count" });
    await model.run(chainFeeds(-1, 0, 1));
    await model.run(chainFeeds(0, 1));
    const logs = recordsOf(output).filter(({ module }) => module === "c");
    const { sum, max, nan_count: nans, inf_count: infinities } = logs[0] as Line;
    assert.deepEqual([sum, max, nans, infinities], ["NaN", "NaN", 1, 1]);
    assert.deepEqual([logs[1]?.["min"], logs[1]?.["nan_count"]], ["-Infinity", 0]);
  }),
);

Deno.test(
  "a step filter records the steps of its list and nothing outside a step",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await chainModel();
    await using _trace = attach(model, { output, steps: [0, 2], layers: "a" });
    for (let step = 0; step < 4; step++) await traceStep(step, () => model.run(chainFeeds(step)));
    await model.run(chainFeeds(9));
    await traceStep(7, () => traceStep(2, () => model.run(chainFeeds(5))));
    // Calls are counted whether they are recorded or not.
    assert.deepEqual(recordsOf(output).map(({ step, call, sum }) => [step, call, sum]), [
      [0, 0, 0],
      [2, 2, 4],
      [2, 5, 10],
    ]);
  }),
);

Deno.test(
  "a step filter that kept nothing says so in the file",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await chainModel();
    const warn = console.warn;
    const warnings: string[] = [];
    console.warn = (text: string) => void warnings.push(text);
    try {
      const trace = attach(model, { output, steps: "3" });
      await model.run(chainFeeds(1));
      await trace.detach();
    } finally {
      console.warn = warn;
    }
    const note = linesOf(output).at(-1);
    assert.equal(note?.["type"], "note");
    assert.match(String(note?.["message"]), /"3" kept none of 3 module calls/);
    assert.match(warnings[0] ?? "", /^hookline: .*kept none/);
  }),
);

Deno.test(
  "interleaved calls keep their contexts, steps and call numbers apart",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await chainModel();
    await using _trace = attach(model, { output });
    const calls = Array.from(
      { length: 16 },
      (_, index) =>
        withContext(
          index % 2 === 0 ? "cond" : "uncond",
          () => traceStep(index, () => model.run(chainFeeds(index + 1))),
        ),
    );
    await Promise.all(calls);
    const records = recordsOf(output);
    assert.equal(records.length, 48);
    assert.equal(new Set(records.map(({ seq }) => seq)).size, 48);
    for (const { module, step, context, sum, call } of records) {
      const index = Number(step);
      assert.equal(context, index % 2 === 0 ? "cond" : "uncond");
      if (module === "a") assert.equal(sum, 2 * (index + 1));
      assert.equal(call, index);
    }
  }),
);

Deno.test(
  "a module that one call runs twice has two records with numbers of their own",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    const shared = (name: string) => ({ name });
    await using model = await openModel(
      modelBytes({
        inputs: [valueInfo("x", "float32", ["n"])],
        outputs: [valueInfo("z", "float32", ["n"])],
        nodes: [
          node("Neg", ["x"], ["/act/Neg_output_0"], shared("/act/Neg")),
          node("Exp", ["/act/Neg_output_0"], ["/mid/Exp_output_0"], shared("/mid/Exp")),
          node("Neg", ["/mid/Exp_output_0"], ["z"], shared("/act_1/Neg")),
        ],
      }),
      { provider: "cpu" },
    );
    assert.equal(model.modules.find(({ path }) => path === "act")?.calls.length, 2);
    await using _trace = attach(model, { output, layers: "act" });
    await model.run({ x: float32([1], [0]) });
    await model.run({ x: float32([1], [0]) });
    assert.deepEqual(
      recordsOf(output).map(({ module, sum, call, seq }) => [module, sum, call, seq]),
      [["act", 0, 0, 0], ["act", -1, 1, 1], ["act", 0, 2, 2], ["act", -1, 3, 3]],
    );
  }),
);

Deno.test(
  "string tensors are left out with a note, once",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await openModel(
      modelBytes({
        inputs: [valueInfo("x", "float32", ["n"])],
        outputs: [valueInfo("/b/Cast_output_0", "float32", ["n"])],
        nodes: [
          node("Cast", ["x"], ["/a/Cast_output_0"], { name: "/a/Cast", attributes: { to: 8 } }),
          node("Cast", ["/a/Cast_output_0"], ["/b/Cast_output_0"], {
            name: "/b/Cast",
            attributes: { to: 1 },
          }),
        ],
      }),
      { provider: "cpu" },
    );
    await using _trace = attach(model, { output });
    await model.run({ x: float32([1], [4]) });
    await model.run({ x: float32([1], [4]) });
    const [, note, ...records] = linesOf(output);
    assert.deepEqual(note, {
      type: "note",
      module: "a",
      tensor: "out",
      message: "string elements have no statistics",
    });
    assert.deepEqual(records.map(({ module }) => module), ["b", "b"]);
  }),
);

Deno.test(
  "what is refused leaves the model as it was and makes no file",
  inFolder(async (folder) => {
    const output = `${folder}/deep/trace.jsonl`;
    await using model = await openBert();
    const attempt = (options: ActivationTraceOptions) => () => {
      attach(model, { ...options, output });
    };
    const none = await expectCode("HOOK_MATCH_EMPTY", attempt({ layers: "encodr\\.layer" }));
    assert.match(none.fix, /did you mean|inspect/);
    await expectCode("HOOK_MATCH_EMPTY", attempt({ select: "" })); // the model itself
    await expectCode("HOOK_MATCH_EMPTY", attempt({ select: "encoder.layer" })); // never called
    await expectCode("SELECTOR_SYNTAX", attempt({ layers: "(" }));
    await expectCode("HOOK_NAME_INVALID", attempt({ name: "Not A Name" }));
    assert.equal(HookRegistry.all(model).filter(({ size }) => size > 0).length, 0);
    assert.equal(model.plan().kind, "whole");
    assert.equal(existsSync(output), false);
  }),
);

Deno.test(
  "a second attach gives the same trace, another trace of the same name is refused",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await chainModel();
    const plugin = activationTrace({ output, layers: "a" });
    const first = plugin.attach(model, { modelName: "m" });
    assert.equal(plugin.attach(model, { modelName: "m" }), first);
    const other = activationTrace({ output: `${folder}/other.jsonl`, layers: "b" });
    await expectCode("HOOK_NAME_DUPLICATE", () => other.attach(model, { modelName: "m" }));
    assert.equal(existsSync(`${folder}/other.jsonl`), false);
    await using _named = attach(model, { name: "second", output: `${folder}/second.jsonl` });
    await model.run(chainFeeds(1));
    assert.equal(recordsOf(output).length, 1);
    assert.equal(recordsOf(`${folder}/second.jsonl`).length, 3);
    // Detached and attached again, the same plugin goes on in its file.
    await first?.detach();
    await first?.detach();
    await using again = plugin.attach(model, { modelName: "m" });
    await model.run(chainFeeds(1));
    assert.notEqual(again, first);
    assert.equal(linesOf(output).filter(({ type }) => type === "header").length, 2);
  }),
);

Deno.test(
  "detaching removes every hook and brings the plan back",
  inFolder(async (folder) => {
    await using model = await chainModel();
    const before = model.plan().hash;
    const trace = attach(model, { output: `${folder}/trace.jsonl` });
    assert.equal(model.plan().kind, "tapped");
    await model.run(chainFeeds(1));
    await trace.detach();
    assert.equal(model.plan().hash, before);
    assert.equal(HookRegistry.all(model).filter(({ size }) => size > 0).length, 0);
  }),
);

/** Detaches the trace in the middle of a call. */
class DetachingHook extends ModelHook {
  override readonly name = "z-detaching";
  readonly #detach: () => Promise<void>;
  constructor(detach: () => Promise<void>) {
    super();
    this.#detach = detach;
  }
  override async postForward(): Promise<void> {
    await this.#detach();
  }
}

Deno.test(
  "a trace that is detached while a call runs records the call to its end and breaks nothing",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await chainModel();
    const trace = attach(model, { output });
    using _hook = model.registry("a").register(new DetachingHook(() => trace.detach()));
    await model.run(chainFeeds(1));
    await model.run(chainFeeds(1));
    assert.equal(recordsOf(output).length, 3);
  }),
);

/** Fails in the second module. */
class FailingHook extends ModelHook {
  override readonly name = "failing";
  override postForward(): void {
    throw new Error("no luck");
  }
}

Deno.test(
  "a call that fails leaves what was complete in the file, and the next call works",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await chainModel();
    await using _trace = attach(model, { output });
    {
      using _hook = model.registry("b").register(new FailingHook());
      await expectCode("HOOK_THROWN", () => model.run(chainFeeds(1)));
      assert.deepEqual(recordsOf(output).map(({ module }) => module), ["a", "b"]);
    }
    await model.run(chainFeeds(1));
    assert.deepEqual(recordsOf(output).slice(2).map(({ module, call }) => `${module}${call}`), [
      "a1",
      "b1",
      "c1",
    ]);
    // Other hooks, another plan: the file says so.
    const headers = linesOf(output).filter(({ type }) => type === "header");
    assert.equal(headers.length, 2);
    assert.notEqual(headers[0]?.["planHash"], headers[1]?.["planHash"]);
    const runs = new Set(recordsOf(output).map(({ run }) => run));
    assert.deepEqual([...runs], headers.map(({ run }) => run));
  }),
);

Deno.test(
  "a run number is where the header stands in the file",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    for (let repeat = 0; repeat < 3; repeat++) {
      await using model = await chainModel();
      await using _trace = attach(model, { output });
      await model.run(chainFeeds(1));
    }
    const bytes = readFileSync(output);
    const runs = [...new Set(recordsOf(output).map(({ run }) => Number(run)))];
    assert.equal(runs.length, 3);
    for (const run of runs) {
      assert.match(bytes.subarray(run).toString(), /^\{"type":"header"/);
    }
  }),
);

Deno.test(
  "the models of a pipeline share the file and keep headers of their own",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    const source = fixturePath("torch/bert/model.onnx");
    {
      await using pipeline = await definePipeline({
        models: { left: source, right: source },
        provider: "cpu",
        plugins: [activationTrace({ output, layers: "pooler$", mode: "new" })],
      }).open();
      const { left, right } = pipeline.models;
      await Promise.all([left.run(bertFeeds(left)), right.run(bertFeeds(right))]);
      await left.run(bertFeeds(left));
    }
    const headers = linesOf(output).filter(({ type }) => type === "header");
    assert.deepEqual(headers.map(({ name }) => name).sort(), ["left", "right"]);
    const perRun = headers.map(({ run, name }) =>
      `${name} ${recordsOf(output).filter((line) => line["run"] === run).length}`
    );
    assert.deepEqual(perRun.sort(), ["left 2", "right 1"]);
  }),
);

Deno.test(
  "a failed write fails the call with FILE_WRITE as its cause, and says what to do",
  inFolder(async () => {
    if (!existsSync("/dev/full")) return;
    await using model = await chainModel();
    const trace = attach(model, { output: "/dev/full" });
    const error = await expectCode("HOOK_THROWN", () => model.run(chainFeeds(1)));
    assert.ok(error.cause instanceof HooklineError);
    assert.equal(error.cause.code, "FILE_WRITE");
    assert.equal(error.fix, error.cause.fix);
    await trace.detach();
    await model.run(chainFeeds(1));
  }),
);
