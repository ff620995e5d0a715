// Run by engine_choice_test.ts in a process of its own, because what a process may do is decided at its
// start: prints what was chosen for the name given, or the error, as one JSON line.

import process from "node:process";
import { HooklineError } from "../../errors/hookline_error.ts";
import { chooseEngine, type EngineName } from "../../sessions/engine_choice.ts";

try {
  const { engine, because } = await chooseEngine(process.argv[2] as EngineName);
  console.log(JSON.stringify({ engine: engine.name, because, version: await engine.version() }));
} catch (error) {
  if (!(error instanceof HooklineError)) throw error;
  console.log(JSON.stringify(error));
}
