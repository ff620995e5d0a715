// Runs in a child process, because ONNX Runtime can end the process on a valid model: verifies the models
// that it is given, one after the other, and says before each which one it begins.

import { dirname, join } from "node:path";
import { existsSync, readFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import { TensorProtoSchema } from "onnx-buf";
import { HooklineError } from "../../errors/hookline_error.ts";
import { loadInputs } from "../../formats/tensor_inputs.ts";
import { randomInputs } from "../../formats/random_inputs.ts";
import { decodeTensorProto } from "../../graph/tensor_proto.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { verifyModel } from "../../pipeline/verify.ts";
import type { ValueSpec } from "../../sessions/engine.ts";
import type { Tensor, TensorMap } from "../../tensor/tensor.ts";
import type { SuiteModel } from "./suite_models.ts";

/** What a line of this program's output says. */
export type ChildLine =
  | { readonly begin: string }
  | { readonly end: string; readonly result: ModelResult };

/** What became of one model. */
export type ModelResult =
  | {
    readonly kind: "verified";
    readonly status: string;
    readonly bits: number;
    readonly taps: number;
    readonly segments: number;
    readonly skipped: Readonly<Record<string, number>>;
  }
  /** Plain ONNX Runtime does not load, run, or agree with the expected outputs. */
  | { readonly kind: "plain fails"; readonly why: string }
  /** Fewer than two nodes: nothing to tap or cut. */
  | { readonly kind: "single node" }
  | { readonly kind: "failed"; readonly why: string };

const ATOL = 1e-4;
const RTOL = 1e-3;

async function verifyOne(suite: SuiteModel): Promise<ModelResult> {
  let feeds: TensorMap;
  try {
    await using model = await openModel(suite.path, { provider: "cpu", optimization: "disabled" });
    const nodes = model.modules[0]?.calls[0]?.nodes.length ?? 0;
    if (suite.inputs === "backend" && nodes < 2) return { kind: "single node" };
    feeds = await inputsOf(suite, model.inputs);
    const outputs = await model.run(feeds);
    if (suite.inputs === "backend") {
      const wrong = wrongOutput(suite, model.outputs, outputs);
      if (wrong !== null) return { kind: "plain fails", why: wrong };
    }
  } catch (error) {
    if (suite.inputs === "backend") return { kind: "plain fails", why: said(error) };
    return { kind: "failed", why: said(error) };
  }
  try {
    const document = await verifyModel(suite.path, {
      feeds,
      provider: "cpu",
      optimization: "disabled",
      rounds: 1,
    });
    return {
      kind: "verified",
      status: document.status,
      bits: document.tapped.bitsDiffering + document.split.bitsDiffering,
      taps: document.tapped.taps,
      segments: document.split.segments,
      skipped: { ...document.tapped.skippedBecause, ...document.split.skippedBecause },
    };
  } catch (error) {
    return { kind: "failed", why: said(error) };
  }
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
      return Object.fromEntries(
        inputs.map((input, index) => [input.name, readProto(suite, `input_${index}.pb`)]),
      );
  }
}

function readProto(suite: SuiteModel, file: string): Tensor {
  const bytes = readFileSync(join(dirname(suite.path), "test_data_set_0", file));
  return decodeTensorProto(fromBinary(TensorProtoSchema, bytes));
}

function wrongOutput(
  suite: SuiteModel,
  specs: readonly ValueSpec[],
  outputs: TensorMap,
): string | null {
  for (const [index, { name }] of specs.entries()) {
    if (!existsSync(join(dirname(suite.path), "test_data_set_0", `output_${index}.pb`))) continue;
    const expected = readProto(suite, `output_${index}.pb`);
    const found = outputs[name];
    if (found === undefined || found.data.length !== expected.data.length) {
      return `output ${name} has another size`;
    }
    for (let at = 0; at < expected.data.length; at++) {
      const [want, got] = [expected.data[at], found.data[at]];
      if (Object.is(want, got) || want === got) continue;
      if (
        typeof want === "number" && Math.abs(want - Number(got)) <= ATOL + RTOL * Math.abs(want)
      ) continue;
      return `output ${name} differs from what is expected`;
    }
  }
  return null;
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
