// Run by native_engine_test.ts: ends the process while a run computes on another thread.

import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { slowFeeds, slowModel } from "./_slow_model.ts";

const session = await new NativeEngine().open(
  { kind: "bytes", bytes: slowModel(400), weightFolder: null },
  { provider: "cpu", optimization: "all", threads: 2, prepacking: true, label: "slow" },
);
session.run(slowFeeds());
session.run(slowFeeds());
setTimeout(() => {
  console.log("ending");
  Deno.exit(0);
}, 20);
