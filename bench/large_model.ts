// The model of the `inspect` benchmark: more than 2 GB of weights inside the `.onnx` file, just below
// protobuf's limit of 2 GiB. Nothing opens it as a session; it is there to be looked at.

import type { TransformerShape } from "./transformer_graph.ts";
import { type TransformerReport, writeTransformer } from "./transformer_model.ts";

/** 24 blocks of width 1344: 520,646,784 parameters, 2,082,587,136 bytes of float32. */
export const LARGE_TRANSFORMER: Partial<TransformerShape> = Object.freeze({
  blocks: 24,
  width: 1344,
  heads: 16,
});

/** Writes the model to `path`: 2.1 GB of disk, a few seconds. */
export function writeLargeModel(path: string): TransformerReport {
  return writeTransformer(path, LARGE_TRANSFORMER);
}

if (import.meta.main) {
  const [path] = Deno.args;
  if (path === undefined) {
    console.error("usage: deno run --allow-write bench/large_model.ts PATH");
    Deno.exit(2);
  }
  console.log(JSON.stringify(writeLargeModel(path)));
}
