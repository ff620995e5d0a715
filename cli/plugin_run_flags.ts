// `hookline plugin run-flags`: the least that `deno run` must grant to an application with these models and
// plugins. It loads no code and opens no model.

import { realpathSync } from "node:fs";
import { dirname, resolve } from "node:path";
import process from "node:process";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { HooklineError } from "../errors/hookline_error.ts";
import { temporaryFolder } from "../host/temporary_folder.ts";
import { LIMIT_SHELL } from "../manifest/isolation/host_spec.ts";
import { runFlags } from "../manifest/run_flags.ts";
import { ortLibraryFolder } from "../sessions/_ort_library.ts";
import type { Invocation } from "./_invocation.ts";
import { collect } from "./_model_options.ts";
import {
  addPluginOptions,
  documentOf,
  loadCalled,
  type PluginDocument,
} from "./_plugin_options.ts";

/** What `hookline plugin run-flags --json` prints. */
export interface RunFlagsDocument {
  /** The flags, to stand between `deno run` and the program. */
  readonly flags: readonly string[];
  /** The plugins that they are for. */
  readonly plugins: readonly PluginDocument[];
}

/** The command. */
export function pluginRunFlagsCommand(invocation: Invocation): CommandUnknownOpts {
  const command = new Command("run-flags")
    .description("Prints the least flags of `deno run` for an application with these plugins.")
    .addOption(
      new Option(
        "--model <file>",
        "a model that it opens; its folder holds the weights; repeatable",
      )
        .argParser(collect),
    )
    .addOption(
      new Option("--write <path>", "a file or folder that it writes itself; repeatable")
        .argParser(collect),
    )
    .option("--json", "print one JSON document on standard output and nothing else");
  addPluginOptions(command);
  return command.action(async (options) => {
    const { model: models = [], write = [] } = options as {
      readonly model?: readonly string[];
      readonly write?: readonly string[];
    };
    const values = command.opts() as { readonly lock: string; readonly audit?: string };
    const { plugins, specifiers } = await loadCalled({ ...values, audit: undefined }, invocation);
    const flags = runFlags({
      ortFolder: ortLibraryFolder(),
      reads: [
        ...models.map(modelFolder),
        ...(plugins.length === 0 ? [] : [resolve(values.lock)]),
      ],
      writes: [...write, ...(values.audit === undefined ? [] : [values.audit])]
        .map((path) => resolve(path)),
      plugins,
      processes: {
        programs: [process.execPath, ...process.platform === "linux" ? [LIMIT_SHELL] : []],
        folder: temporaryFolder(),
      },
    });
    const document: RunFlagsDocument = {
      flags,
      plugins: plugins.map((plugin, index) => documentOf(plugin, specifiers[index] ?? "")),
    };
    invocation.report({ document, text: () => flags.map(quoted).join(" ") });
  });
}

/** The real folder of a model: what it may point at lies there. */
function modelFolder(path: string): string {
  try {
    return dirname(realpathSync(path));
  } catch (cause) {
    throw new HooklineError("MODEL_NOT_FOUND", {
      message: `cannot find the model "${path}"`,
      fix: "check the path",
      details: { model: path },
      cause,
    });
  }
}

/** As a shell takes it. */
function quoted(flag: string): string {
  return /^[\w@%+=:,./-]+$/.test(flag) ? flag : `'${flag.replaceAll("'", `'\\''`)}'`;
}
