import { fromBinary, toJson } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { loadCorpus } from "./corpus.ts";
import { fuzzModel } from "./fuzz_case.ts";
const m = fuzzModel(loadCorpus(), 2, 9169);
const dump = (b: Uint8Array) => { const x = fromBinary(ModelProtoSchema, b); const strip = (g: any) => { for (const n of g.node) { n.metadataProps = []; n.docString=""; for (const a of n.attribute) { if (a.g) strip(a.g); } } g.metadataProps = []; for (const v of [...g.input, ...g.output, ...g.valueInfo, ...g.initializer]) v.metadataProps = []; }; strip(x.graph); return JSON.stringify(x, (k, v) => k === "$typeName" || k==="rawData" ? undefined : typeof v === "bigint" ? Number(v) : v, 1); };
Deno.writeTextFileSync("/tmp/base.json", dump(m.base.bytes)); Deno.writeTextFileSync("/tmp/mut.json", dump(m.bytes));
