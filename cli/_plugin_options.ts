// The options that put plugins on a model, the same for every subcommand that takes them, and what the
// subcommands say of the plugins that they loaded.

import {
  type CommandUnknownOpts,
  InvalidArgumentError,
  Option,
  type OptionValues,
} from "@commander-js/extra-typings";
import { HooklineError } from "../errors/hookline_error.ts";
import { type AuditLog, createAuditLog } from "../manifest/audit.ts";
import { LOCK_FILE, type RightSource } from "../manifest/effective_rights.ts";
import type { Budgets, IsolationLevel } from "../manifest/plugin_manifest.ts";
import type { PluginOptions } from "../manifest/plugin_module.ts";
import { attachPlugins } from "../pipeline/attach_plugins.ts";
import { type LoadedPlugin, loadPlugin, type LoadPluginOptions } from "../pipeline/load_plugin.ts";
import type { Model } from "../pipeline/model.ts";
import { OUTPUT_FOLDER } from "../manifest/resolve_rights.ts";
import type { Invocation } from "./_invocation.ts";
import { collect } from "./_model_options.ts";
import { bytesText } from "./_units.ts";

/** A plugin as the documents of subcommands show it. */
export interface PluginDocument {
  /** Its name, by which it is ordered. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** What it was named by on the command line. */
  readonly specifier: string;
  /** Where it runs. */
  readonly level: IsolationLevel;
  /** What that level makes of its permissions. */
  readonly enforcement: "advisory" | "enforced" | "enforced, killable";
  /** What vouches for its files. */
  readonly integrity: string;
  /** Each right and who gave it. */
  readonly rights: readonly RightSource[];
}

const ENFORCEMENT: Readonly<Record<IsolationLevel, PluginDocument["enforcement"]>> = {
  inline: "advisory",
  worker: "enforced",
  process: "enforced, killable",
};

interface PluginChoice {
  readonly plugin?: readonly string[];
  readonly pluginLevel?: IsolationLevel;
  readonly pluginOptions?: Readonly<Record<string, PluginOptions>>;
  readonly pluginOutput?: string;
  readonly lock: string;
  readonly audit?: string;
  readonly allowUnsigned?: true;
}

/** Adds --plugin and what belongs to it. */
export function addPluginOptions(command: CommandUnknownOpts): CommandUnknownOpts {
  return command
    .addOption(
      new Option(
        "--plugin <specifier>",
        "a plugin: a folder, or an npm: or jsr: package; repeatable",
      ).argParser(collect),
    )
    .addOption(
      new Option("--plugin-level <level>", "where plugins run; what they ask for by default")
        .choices(["inline", "worker", "process"]),
    )
    .addOption(
      new Option("--plugin-options <NAME=JSON>", "what the plugin NAME is given; repeatable")
        .argParser(namedJson),
    )
    .option(
      "--plugin-output <folder>",
      `the folder that $OUT in a manifest stands for; ${OUTPUT_FOLDER} by default`,
    )
    .addOption(lockOption())
    .option("--audit <file>", "append what plugins tried to this file, as JSON lines")
    .option("--allow-unsigned", "take plugins that nobody vouches for, such as your own");
}

/** --lock. */
export function lockOption(): Option {
  return new Option("--lock <file>", "the application's file of grants").default(LOCK_FILE);
}

/** Parses `NAME=JSON`. */
function namedJson(
  text: string,
  before: Readonly<Record<string, PluginOptions>> | undefined,
): Readonly<Record<string, PluginOptions>> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError('It is not of the form NAME=JSON, as `a={"b":1}`.');
  return { ...before, [text.slice(0, at)]: jsonOf(text.slice(at + 1)) };
}

/** Parses a JSON option. */
export function jsonOf(text: string): PluginOptions {
  try {
    return JSON.parse(text) as PluginOptions;
  } catch {
    throw new InvalidArgumentError("It is no JSON.");
  }
}

/** Plugins that were loaded for one call; disposing of it takes them off and ends them. */
export interface CalledPlugins extends AsyncDisposable {
  /** What to say of them, by name. */
  readonly documents: readonly PluginDocument[];
  /** How many attempts were denied. The model's own inputs and outputs, hidden unasked, are none. */
  readonly denied: () => number;
}

/**
 * Loads the plugins that the options name, without attaching them.
 *
 * @throws {HooklineError} CLI_USAGE when options name a plugin that is not there; what loadPlugin throws.
 */
export async function loadCalled(
  values: OptionValues,
  invocation: Invocation,
): Promise<
  {
    readonly plugins: readonly LoadedPlugin[];
    readonly specifiers: readonly string[];
    readonly log: AuditLog;
    readonly denied: () => number;
  }
> {
  const choice = values as unknown as PluginChoice;
  const specifiers = choice.plugin ?? [];
  let denied = 0;
  const log = createAuditLog({
    ...(choice.audit === undefined ? {} : { path: choice.audit }),
    onRecord({ decision, permission }) {
      const isHidden = permission === "read-inputs" || permission === "read-outputs";
      if (decision === "deny" && !isHidden) denied++;
    },
  });
  const named = choice.pluginOptions ?? {};
  const plugins: LoadedPlugin[] = [];
  for (const specifier of specifiers) {
    invocation.progress(`loading ${specifier}`);
    const options: LoadPluginOptions = {
      lockFile: choice.lock,
      audit: log.audit,
      log: (line) => invocation.console.err(`${line}\n`),
      // The task and the installed program run with the flag; see deno.json and the README.
      unstableWorkerOptions: true,
      allowUnsigned: choice.allowUnsigned ?? false,
      ...(choice.pluginLevel === undefined ? {} : { level: choice.pluginLevel }),
      ...(choice.pluginOutput === undefined ? {} : { outputFolder: choice.pluginOutput }),
    };
    const plugin = await loadPlugin(specifier, options);
    const given = named[plugin.name];
    plugins.push(
      given === undefined ? plugin : await loadPlugin(specifier, {
        ...options,
        options: given,
      }),
    );
  }
  const unknown = Object.keys(named).find((name) => !plugins.some((one) => one.name === name));
  if (unknown !== undefined) {
    throw new HooklineError("CLI_USAGE", {
      message: `cannot give options to the plugin "${unknown}": it is not among ${
        plugins.map(({ name }) => name).join(", ") || "the plugins, because there are none"
      }`,
      fix: "name it with --plugin, or correct --plugin-options",
      details: { plugin: unknown },
    });
  }
  return { plugins, specifiers, log, denied: () => denied };
}

/** Loads and attaches the plugins that the options name. */
export async function attachCalled(
  model: Model,
  values: OptionValues,
  invocation: Invocation,
): Promise<CalledPlugins> {
  const { plugins, specifiers, log, denied } = await loadCalled(values, invocation);
  await using stack = new AsyncDisposableStack();
  stack.use(log);
  for (const plugin of plugins) stack.use(plugin);
  stack.use(await attachPlugins(model, plugins));
  const rest = stack.move();
  return {
    documents: plugins
      .map((plugin, index) => documentOf(plugin, specifiers[index] ?? ""))
      .sort((left, right) => left.name < right.name ? -1 : 1),
    denied,
    [Symbol.asyncDispose]: () => rest.disposeAsync(),
  };
}

/** What to say of a plugin. */
export function documentOf(plugin: LoadedPlugin, specifier: string): PluginDocument {
  const { name, manifest, level, integrity, rights } = plugin;
  return {
    name,
    version: manifest.version,
    specifier,
    level,
    enforcement: ENFORCEMENT[level],
    integrity,
    rights: rights.because,
  };
}

/** What a plugin may use by its own word, one line; no lines when it names no bounds. */
export function budgetsText({ msPerCall, retainedBytes, outputBytes }: Budgets): string[] {
  const parts = [
    ...msPerCall === undefined ? [] : [`${msPerCall} ms a call`],
    ...retainedBytes === undefined ? [] : [`${bytesText(retainedBytes)} kept`],
    ...outputBytes === undefined ? [] : [`${bytesText(outputBytes)} written`],
  ];
  return parts.length === 0 ? [] : [`  bounds itself to ${parts.join(", ")}`];
}

/** Plugins for people, one or more lines each. */
export function pluginsText(plugins: readonly PluginDocument[]): string[] {
  return plugins.flatMap(({ name, version, level, enforcement, integrity, rights }) => [
    `plugin ${name} ${version}: ${level} (${enforcement}), files ${integrity}`,
    ...rights.map(({ permission, grantedBy, limitedBy }) =>
      `  ${permission}: granted by ${grantedBy}${limitedBy === undefined ? "" : `; ${limitedBy}`}`
    ),
  ]);
}
