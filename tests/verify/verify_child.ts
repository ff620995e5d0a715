// Runs in a child process, because ONNX Runtime can end the process on a valid model: verifies the models
// that it is given, one after the other, and says before each which one it begins.

import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { HooklineError } from "../../errors/hookline_error.ts";
import { loadInputs } from "../../formats/tensor_inputs.ts";
import { randomInputs } from "../../formats/random_inputs.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { verifyModel } from "../../pipeline/verify.ts";
import type { ValueSpec } from "../../sessions/engine.ts";
import type { Tensor, TensorMap } from "../../tensor/tensor.ts";
import {
  bitDifference,
  liveNodes,
  type PlainFailure,
  type PlainResult,
  type PlainTensor,
  tryPlain,
} from "./plain_runtime.ts";
import type { SuiteModel } from "./suite_models.ts";

/** What a line of this program's output says. */
export type ChildLine =
  | { readonly begin: string }
  | { readonly end: string; readonly result: ModelResult };

/** What became of one model. */
export type ModelResult =
  /** Tapped, or cut, or both, and held against the whole model. */
  | {
    readonly kind: "verified";
    readonly status: string;
    readonly bits: number;
    readonly taps: number;
    readonly segments: number;
    readonly skipped: Readonly<Record<string, number>>;
  }
  /** More than one live node, but no tap and no cut: verify ran the whole model against itself. */
  | { readonly kind: "nothing to compare"; readonly skipped: Readonly<Record<string, number>> }
  /** Plain ONNX Runtime does not feed, load, run, or agree with the expected outputs. */
  | {
    readonly kind: "plain fails";
    readonly why: PlainFailure;
    readonly detail: string;
    readonly isSingle: boolean;
  }
  /** One live node: nothing to tap or cut, but whole it gives the bits of plain ONNX Runtime. */
  | { readonly kind: "single node" }
  /** Hookline fails, or gives other bits than plain ONNX Runtime. */
  | { readonly kind: "failed"; readonly why: string };

async function verifyOne(suite: SuiteModel): Promise<ModelResult> {
  let plain: PlainResult | null = null;
  let isSingle = false;
  if (suite.inputs === "backend") {
    isSingle = liveNodes(suite.path).length < 2;
    plain = await tryPlain(suite.path);
    if (!plain.passes) {
      return { kind: "plain fails", why: plain.why, detail: plain.detail, isSingle };
    }
  }
  try {
    let feeds: TensorMap;
    {
      await using model = await openModel(suite.path, {
        provider: "cpu",
        optimization: "disabled",
        threads: 1,
      });
      feeds = plain === null ? await inputsOf(suite, model.inputs) : hooklineFeeds(plain.feeds);
      const outputs = await model.run(feeds);
      for (const [name, wanted] of Object.entries(plain?.outputs ?? {})) {
        const found = outputs[name];
        const difference = bitDifference(
          found && { type: found.dtype, dims: found.shape, data: found.data },
          wanted,
        );
        if (difference !== null) return { kind: "failed", why: `output ${name}: ${difference}` };
      }
    }
    return isSingle ? { kind: "single node" } : await verifyWith(suite, feeds);
  } catch (error) {
    return { kind: "failed", why: said(error) };
  }
}

async function verifyWith(suite: SuiteModel, feeds: TensorMap): Promise<ModelResult> {
  const { status, tapped, split } = await verifyModel(suite.path, {
    feeds,
    provider: "cpu",
    optimization: "disabled",
    rounds: 1,
  });
  const skipped = { ...tapped.skippedBecause, ...split.skippedBecause };
  const bits = tapped.bitsDiffering + split.bitsDiffering;
  const { taps } = tapped;
  const { segments } = split;
  return taps === 0 && segments < 2 && bits === 0
    ? { kind: "nothing to compare", skipped }
    : { kind: "verified", status, bits, taps, segments, skipped };
}

function hooklineFeeds(feeds: Readonly<Record<string, PlainTensor>>): TensorMap {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, { type, dims, data }]) => [
      name,
      { dtype: type as Tensor["dtype"], shape: dims, data: data as Tensor["data"] },
    ]),
  );
}

async function inputsOf(suite: SuiteModel, inputs: readonly ValueSpec[]): Promise<TensorMap> {
  const declared = inputs.map((input) => ({
    name: input.name,
    dtype: input.dtype ?? "float32" as const,
    shape: input.shape,
  }));
  switch (suite.inputs) {
    case "folder":
      return await loadInputs({ dir: dirname(suite.path) }, declared);
    case "random": {
      const known = new Set(
        declared.flatMap((input) =>
          (input.shape ?? []).map((size, axis) =>
            size === null ? `${input.name}[${axis}]` : String(size)
          )
        ),
      );
      const dims = Object.fromEntries(
        Object.entries(suite.dims ?? {}).filter(([name]) => known.has(name)),
      );
      const made = { ...randomInputs(1, declared, dims) };
      // The detector knows two sample rates and no other number.
      if (made["sr"] !== undefined) {
        made["sr"] = { dtype: "int64", shape: made["sr"].shape, data: BigInt64Array.of(16000n) };
      }
      return made;
    }
    case "backend":
      throw new Error("a backend model brings its inputs along");
  }
}

function said(error: unknown): string {
  const code = error instanceof HooklineError ? `${error.code} ` : "";
  return `${code}${error instanceof Error ? error.message : String(error)}`.slice(0, 400);
}

function say(line: ChildLine): void {
  console.log(JSON.stringify(line));
}

if (import.meta.main) {
  const models = JSON.parse(readFileSync(Deno.args[0] ?? "", "utf8")) as SuiteModel[];
  for (const suite of models) {
    say({ begin: suite.name });
    say({ end: suite.name, result: await verifyOne(suite) });
  }
}
