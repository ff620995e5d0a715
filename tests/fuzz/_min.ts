import { graph, modelBytes, node, valueInfo, floats, int64s } from "../support/build_model.ts";
import * as ort from "onnxruntime-node";
import { create } from "@bufbuild/protobuf"; import { AttributeProtoSchema } from "onnx-buf";
const kind = Deno.args[0];
const X = valueInfo("x", "float32", [2, 4]);
const tiny = graph({ nodes: [node("Identity", ["x"], ["t"])], outputs: [valueInfo("t", "float32", [2,4])] });
const loopBody = () => graph({ inputs: [valueInfo("i","int64",[]), valueInfo("g","bool",[]), valueInfo("s","float32",[2,4])], outputs: [valueInfo("go","bool",[]), valueInfo("so","float32",[2,4])], nodes: [node("Identity",["g"],["go"]), node("Relu",["s"],["so"])] });
let n;
if (kind === "relu") n = node("Relu", ["x"], ["y"], { attributes: { body: tiny } });
else if (kind === "reluInput") n = node("Relu", ["x"], ["y"], { attributes: { body: graph({ inputs: [valueInfo("q","float32",[2,4])], nodes: [node("Identity", ["q"], ["t"])], outputs: [valueInfo("t", "float32", [2,4])] }) } });
else if (kind === "gemm") n = node("Relu", ["x"], ["y"], { attributes: { body: graph({ inputs: [valueInfo("q","float32",[2,4])], nodes: [node("Gemm", ["q","w","b"], ["t"])], outputs: [valueInfo("t", "float32", [2,4])] }) } });
else { n = node("Loop", ["n","","x"], ["y"], { attributes: { body: loopBody() } }); n.attribute.push(create(AttributeProtoSchema, { name: kind, type: 5, g: loopBody() })); }
const m = modelBytes({ inputs: [X], outputs: [valueInfo("y","float32",[2,4])], nodes: [n], initializers: [int64s("n",[2],[]), floats("w",[4,4]), floats("b",[4])] });
try { const s = await ort.InferenceSession.create(m, { graphOptimizationLevel: "disabled" }); console.log(kind, "ok", s.outputNames); } catch (e) { console.log(kind, String(e).slice(0,150)); }
