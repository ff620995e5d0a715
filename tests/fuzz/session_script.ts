// The child process that gives survivors of the fuzz to ONNX Runtime: each is run whole, tapped and
// split, and must give the same bits. Native code may crash here; the parent sees which case it was.
// Usage: deno run -A tests/fuzz/session_script.ts SEED NUMBER…

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { HooklineError } from "../../errors/hookline_error.ts";
import type { Model } from "../../pipeline/model.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { decodeNpy } from "../../formats/npy.ts";
import type { ValueSpec } from "../../sessions/engine.ts";
import type { TensorMap } from "../../tensor/tensor.ts";
import { assertSameBits, feedsFor } from "../support/run_model.ts";
import { loadCorpus } from "./corpus.ts";
import { type FuzzModel, fuzzModel } from "./fuzz_case.ts";

const [seed = 0, ...numbers] = Deno.args.map(Number);
const corpus = loadCorpus();
const text = new TextEncoder();

function say(line: unknown): void {
  const bytes = text.encode(JSON.stringify(line) + "\n");
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
}

/** More elements than any fixture has; damaged sizes go up to all the memory there is. */
const ELEMENTS_MAX = 1_000_000;

async function compare({ base, bytes }: FuzzModel): Promise<string> {
  await using model = await openModel(bytes, {
    provider: "cpu",
    optimization: "disabled",
    threads: 1,
    weightFolder: base.folder,
  });
  const elements = model.inputs.map(({ shape }) =>
    (shape ?? []).reduce<number>(
      (product, size) => product * (typeof size === "number" ? Math.max(size, 1) : 2),
      1,
    )
  );
  if (elements.some((count) => count > ELEMENTS_MAX)) return "too large to feed";
  const feeds = { ...feedsFor(model.inputs), ...recordedFeeds(base.folder, model.inputs) };
  const whole = await model.run(feeds);
  const isRandom = JSON.stringify(new TextDecoder("latin1").decode(bytes)).includes("Random");
  for (const plan of plansOf(model)) {
    let outputs: TensorMap;
    try {
      outputs = await model.run(feeds, { plan });
    } catch (error) {
      if (error instanceof HooklineError && error.code === "PLAN_VALUE_TYPE") continue;
      throw new Error(`${plan.kind} fails where whole does not: ${error}`, { cause: error });
    }
    if (!isRandom) assertSameBits(outputs, whole);
  }
  return "same bits";
}

/** The inputs that were recorded with a fixture, as far as the damaged model still has them. */
function recordedFeeds(folder: string, inputs: readonly ValueSpec[]): TensorMap {
  const feeds: Record<string, TensorMap[string]> = {};
  for (const { name } of inputs) {
    const path = join(folder, `in.${name}.npy`);
    if (name.includes("/") || name.includes("\0") || name.length > 200 || !existsSync(path)) {
      continue;
    }
    feeds[name] = decodeNpy(new Uint8Array(readFileSync(path)), path);
  }
  return feeds;
}

function plansOf(model: Model) {
  const leaves = model.modules.filter((module) => module.children.length === 0 && module.isCuttable)
    .map((module) => module.path);
  const plans = [model.plan({ tap: "**" })];
  try {
    if (leaves.length > 0) {
      plans.push(model.plan({ split: (module) => leaves.includes(module.path) }));
    }
  } catch (error) {
    if (!(error instanceof HooklineError)) throw error;
  }
  return plans;
}

for (const index of numbers) {
  say({ begins: index });
  const model = fuzzModel(corpus, seed, index);
  try {
    say({ index, base: model.base.name, outcome: await compare(model) });
  } catch (error) {
    if (error instanceof HooklineError && error.code !== "INTERNAL") {
      say({ index, base: model.base.name, outcome: error.code });
    } else {
      const finding = error instanceof Error ? error.stack ?? error.message : String(error);
      say({ index, base: model.base.name, outcome: "FINDING", finding });
    }
  }
}
