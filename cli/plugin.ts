// `hookline plugin …`: what authors and operators do with plugins. Each deed is a file of its own.

import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Invocation } from "./_invocation.ts";
import { pluginCheckCommand } from "./plugin_check.ts";
import { pluginGrantCommand } from "./plugin_grant.ts";
import { pluginListCommand } from "./plugin_list.ts";
import { pluginNewCommand } from "./plugin_new.ts";
import { pluginPackCommand } from "./plugin_pack.ts";
import { pluginRunFlagsCommand } from "./plugin_run_flags.ts";

/** The command. */
export function pluginCommand(invocation: Invocation): CommandUnknownOpts {
  return new Command("plugin")
    .description("Makes, checks and grants plugins.")
    .option("--json", "print one JSON document on standard output and nothing else")
    .addCommand(pluginNewCommand(invocation))
    .addCommand(pluginCheckCommand(invocation))
    .addCommand(pluginGrantCommand(invocation))
    .addCommand(pluginListCommand(invocation))
    .addCommand(pluginPackCommand(invocation))
    .addCommand(pluginRunFlagsCommand(invocation));
}
