import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Invocation } from "./_invocation.ts";
export function verifyCommand(_i: Invocation): CommandUnknownOpts {
  return new Command("verify");
}
