import { loadCorpus } from "./corpus.ts";
import { fuzzModel } from "./fuzz_case.ts";
import * as ort from "onnxruntime-node";
import { decodeNpy } from "../../formats/npy.ts";
import { readFileSync } from "node:fs";
const m = fuzzModel(loadCorpus(), 2, 9169);
console.log(m.base.name);
Deno.writeFileSync("/tmp/c9169/model.onnx", m.bytes);
const s = await ort.InferenceSession.create("/tmp/c9169/model.onnx", { graphOptimizationLevel: "disabled", intraOpNumThreads: 1 });
console.log(s.inputNames, s.outputNames, JSON.stringify(s.inputMetadata));
const feeds: any = {};
for (const n of s.inputNames) { const t = decodeNpy(new Uint8Array(readFileSync(`${m.base.folder}/../in.${n}.npy`)), n); console.log(n, t.dtype, t.shape); feeds[n] = new ort.Tensor(t.dtype as any, t.data as any, t.shape); }
try { console.log(await s.run(feeds)); } catch (e) { console.log("threw", String(e).slice(0, 200)); }
