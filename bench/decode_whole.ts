// The peer of the `inspect` benchmark: reads a whole model, weights and all, with the decoder that
// Hookline itself uses for structures, and prints the number of its nodes.

import { readFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";

const [path = ""] = Deno.args;
const model = fromBinary(ModelProtoSchema, readFileSync(path));
console.log(JSON.stringify({ nodes: model.graph?.node.length ?? 0 }));
