import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Invocation } from "./_invocation.ts";
export function explainCommand(_i: Invocation): CommandUnknownOpts {
  return new Command("explain");
}
