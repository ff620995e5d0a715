// What the tests of the trace share: small models whose numbers are easy to say, and reading a trace.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { decodeNpy, float32, type Model, openModel, type TensorMap } from "../../../mod.ts";
import { modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { fixturePath } from "../../support/fixture_path.ts";

/** A line of a trace. */
export type Line = Readonly<Record<string, unknown>>;

/** Runs a test with a folder of its own. */
export function inFolder(test: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(Deno.makeTempDirSync(), "trace-"));
    try {
      await test(folder);
    } finally {
      rmSync(join(folder, ".."), { recursive: true });
    }
  };
}

/** Every line of a file, parsed; a damaged one throws. */
export function linesOf(path: string): Line[] {
  return readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as Line);
}

/** The records of a file: its lines less headers and notes. */
export function recordsOf(path: string): Line[] {
  return linesOf(path).filter((line) => line["type"] === undefined);
}

/** x → `a` (×2) → `b` (+x) → `c` (log), each of a module of its own: log makes NaN of what is negative. */
export function chainModel(): Promise<Model> {
  const scope = (module: string, operator: string) => ({ name: `/${module}/${operator}` });
  return openModel(
    modelBytes({
      inputs: [valueInfo("x", "float32", ["n"])],
      outputs: [valueInfo("/c/Log_output_0", "float32", ["n"])],
      nodes: [
        node("Add", ["x", "x"], ["/a/Add_output_0"], scope("a", "Add")),
        node("Add", ["/a/Add_output_0", "x"], ["/b/Add_output_0"], scope("b", "Add")),
        node("Log", ["/b/Add_output_0"], ["/c/Log_output_0"], scope("c", "Log")),
      ],
    }),
    { provider: "cpu" },
  );
}

/** Inputs of {@linkcode chainModel}. */
export function chainFeeds(...elements: readonly number[]): TensorMap {
  return { x: float32([elements.length], elements) };
}

/** The bert fixture, open. */
export function openBert(): Promise<Model> {
  return openModel(fixturePath("torch/bert/model.onnx"), { provider: "cpu" });
}

/** Its inputs. */
export function bertFeeds(model: Model): TensorMap {
  return Object.fromEntries(model.inputs.map(({ name }) => [
    name,
    decodeNpy(readFileSync(fixturePath(`torch/bert/in.${name}.npy`)), name),
  ]));
}
