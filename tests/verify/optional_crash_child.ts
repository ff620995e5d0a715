// Runs one model of the ONNX backend suite, test_if_opt, with a condition that is true, through plain
// onnxruntime-node. ONNX Runtime 1.29 ends the process over it; when it does not, this says what happened.

import { join } from "node:path";
import { openPlain, runPlain } from "./plain_runtime.ts";
import { BACKEND_FOLDER } from "./suite_models.ts";

const session = await openPlain(join(BACKEND_FOLDER, "node", "test_if_opt", "model.onnx"));
console.log("running");
try {
  await runPlain(session, { cond: { type: "bool", dims: [], data: Uint8Array.of(1) } });
  console.log("it ran");
} catch (error) {
  console.log(`it threw: ${error instanceof Error ? error.message : error}`);
}
