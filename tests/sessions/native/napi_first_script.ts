// Run by native_engine_test.ts: the addon opens a session before the native engine makes its environment.

import { NapiEngine } from "../../../sessions/napi_engine.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { availableCores } from "../../../sessions/thread_budget.ts";
import { float32 } from "../../../tensor/tensor.ts";
import { identityModel } from "../tiny_models.ts";

const source = {
  kind: "bytes",
  bytes: identityModel("float32", [2]),
  weightFolder: null,
} as const;
const settings = {
  provider: "cpu",
  optimization: "all",
  threads: availableCores(),
  prepacking: true,
  label: "model",
} as const;
await using _first = await new NapiEngine().open(source, settings);
const engine = new NativeEngine();
await using session = await engine.open(source, settings);
const { y } = await session.run({ x: float32([2], [1, 2]) });
const { poolThreads } = await engine.report();
console.log(JSON.stringify({ poolThreads, y: [...y?.data as Float32Array] }));
