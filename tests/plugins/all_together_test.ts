// Every first-party plugin on one model, attached in every order: one plan, one trace, one set of captures,
// one output, byte for byte.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  definePipeline,
  loadInputs,
  type Plugin,
  tensorDigest,
  traceStep,
} from "@hookline/hookline";
import { activationTrace } from "../../plugins/activation_trace/mod.ts";
import { nanGuard } from "../../plugins/nan_guard/mod.ts";
import { outputCapturePlugin } from "../../plugins/output_capture/mod.ts";
import { HookFunction, outputEdit, scale } from "../../plugins/output_edit/mod.ts";
import { firstBlockCache } from "../../plugins/step_cache/first_block_cache.ts";
import { teaCache } from "../../plugins/step_cache/tea_cache.ts";
import { fixturePath } from "../support/fixture_path.ts";

const FOLDER = fixturePath("torch", "bert");
const MODEL = fixturePath("torch", "bert", "model.onnx");
const NAMES = ["trace", "capture", "edit", "cache", "guard"] as const;
type Name = typeof NAMES[number];

function permutations<Item>(items: readonly Item[]): Item[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) =>
    permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest])
  );
}

interface Outcome {
  readonly planHash: string;
  readonly outputs: readonly string[];
  readonly captures: readonly string[];
  readonly trace: string;
}

async function outcome(order: readonly Name[], threshold: number): Promise<Outcome> {
  const path = await Deno.makeTempFile({ suffix: ".jsonl" });
  const capture = outputCapturePlugin();
  const plugins: Readonly<Record<Name, Plugin>> = {
    trace: activationTrace({ output: path, mode: "new", stats: ["abs_mean", "sum", "std"] }),
    capture,
    edit: outputEdit({
      setup: (editor) =>
        void editor.register(
          new HookFunction("encoder.layer.1.attention", { editingFunction: scale(0.5) }),
        ),
    }),
    // The one that always runs its first block: a capture of blocks of which none ran is an error.
    cache: firstBlockCache({ blocks: "encoder.layer.*", threshold }),
    guard: nanGuard({ infinities: false }),
  };
  try {
    const digests: string[] = [];
    const captured: string[] = [];
    let planHash = "";
    {
      await using pipeline = await definePipeline({
        models: { text: MODEL },
        provider: "cpu",
        optimization: "disabled",
        plugins: order.map((name) => plugins[name]),
      }).open();
      const model = pipeline.models.text;
      const feeds = await loadInputs({ dir: FOLDER }, model.inputs);
      for (let step = 0; step < 3; step++) {
        const { outputs, captures } = await traceStep(
          step,
          () => capture.of("text").run(feeds, { hidden_states: true }),
        );
        digests.push(...Object.values(outputs).map(tensorDigest));
        for (const value of captures.hidden_states) {
          captured.push(value === null ? "none" : tensorDigest(value));
        }
      }
      planHash = model.plan().hash;
    }
    return { planHash, outputs: digests, captures: captured, trace: readFileSync(path, "utf8") };
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("five plugins attached in each of 120 orders give the same plan, outputs, captures and trace", async () => {
  const expected = await outcome(NAMES, 0);
  assert.ok(expected.trace.split("\n").length > 100);
  assert.ok(expected.captures.length >= 12);
  for (const order of permutations(NAMES)) {
    assert.deepEqual(await outcome(order, 0), expected, order.join(", "));
  }
});

Deno.test("five plugins with a cache that skips agree in every rotation of their order", async () => {
  const expected = await outcome(NAMES, 1e9);
  const full = await outcome(NAMES, 0);
  assert.ok(expected.trace.length < full.trace.length, "blocks that are skipped leave no record");
  for (let shift = 1; shift < NAMES.length; shift++) {
    const order = [...NAMES.slice(shift), ...NAMES.slice(0, shift)];
    assert.deepEqual(await outcome(order, 1e9), expected, order.join(", "));
  }
});

Deno.test("two caches on the same blocks are refused, and the pipeline leaves nothing open", async () => {
  const recipe = definePipeline({
    models: { text: MODEL },
    provider: "cpu",
    plugins: [
      teaCache({ blocks: "encoder.layer.[1-2]", threshold: 0.1 }),
      firstBlockCache({ blocks: "encoder.layer.*", threshold: 0.1 }),
    ],
  });
  await assert.rejects(recipe.open(), { code: "HOOK_REPLACE_CONFLICT" });
});
