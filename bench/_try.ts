import { transformerBytes, writeTransformer } from "./transformer_model.ts";
import { writeLargeModel } from "./large_model.ts";
import * as ort from "onnxruntime-node";
console.log(writeTransformer("/tmp/t.onnx"));
const t = performance.now();
console.log(
  writeLargeModel("/tmp/large.onnx"),
  performance.now() - t,
  Deno.memoryUsage().rss / 1e6,
);
for (const o of [{ dtype: "float32" }, { dtype: "float16" }, { vocabulary: 50 }] as const) {
  const b = transformerBytes({ width: 32, heads: 4, blocks: 2, ...o });
  const s = await ort.InferenceSession.create(b, { graphOptimizationLevel: "all" });
  const x = Float32Array.from({ length: 6 * 32 }, (_, i) => Math.sin(i));
  const f: any = "vocabulary" in o
    ? {
      input_ids: {
        type: "int64",
        dims: [1, 6],
        data: new BigInt64Array(6).map((_, i) => BigInt(i)),
        location: "cpu",
      },
    }
    : o.dtype === "float32"
    ? { x: { type: "float32", dims: [1, 6, 32], data: x, location: "cpu" } }
    : {
      x: {
        type: "float16",
        dims: [1, 6, 32],
        data: new Uint16Array(Float16Array.from(x).buffer),
        location: "cpu",
      },
    };
  const r = await s.run(f);
  for (const k in r) console.log(k, r[k].dims, r[k].type, [...(r[k].data as any).slice(0, 5)]);
}
