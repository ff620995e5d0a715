// Run by plain_exit_test.ts: ends the process while sessions are opened on another thread. Arguments: the
// model, how long to wait, and how to end.

import { openModel } from "../../../pipeline/open_model.ts";

const [path = "", delayMs = "0", way = "exit"] = Deno.args;
const model = await openModel(path, { engine: "native", provider: "cpu", threads: 2 });
const x = { dtype: "float32", shape: [1, 1, 256], data: new Float32Array(256) } as const;
model.run({ x }, { plan: model.plan({ split: model.repeatedBlocks }) }).catch(() => {});
setTimeout(() => {
  console.log("ending");
  if (way === "throw") throw new Error("uncaught");
  Deno.exit(7);
}, Number(delayMs));
