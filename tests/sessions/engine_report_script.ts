// Run by ort_loader_test.ts in a process of its own, because what a process may do is decided at its
// start: prints what the engine reports, or the error, as one JSON line.

import { HooklineError } from "../../errors/hookline_error.ts";
import { NapiEngine } from "../../sessions/napi_engine.ts";

try {
  console.log(JSON.stringify(await new NapiEngine().report()));
} catch (error) {
  if (!(error instanceof HooklineError)) throw error;
  console.log(JSON.stringify(error));
}
