// From a specifier to a plugin that a pipeline can attach: manifest, integrity, rights and level are
// decided here, before any code of the plugin is loaded. It brings together what manifest/ knows of plugins
// with models; it enforces nothing by itself. Invariant: a plugin that is refused has run no line.

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { HooklineError } from "../errors/hookline_error.ts";
import { requireOptions } from "../errors/option_names.ts";
import type { ModuleSelector } from "../graph/selector.ts";
import type { Audit } from "../manifest/audit.ts";
import { type EffectiveRights, LOCK_FILE } from "../manifest/effective_rights.ts";
import { type Grants, readGrants } from "../manifest/grants.ts";
import type { PluginTally } from "../manifest/guarded_hook.ts";
import { checkIntegrity, type IntegrityState } from "../manifest/integrity.ts";
import { locatePlugin } from "../manifest/locate_plugin.ts";
import type { IsolationLevel, PluginManifest } from "../manifest/plugin_manifest.ts";
import type { PluginOptions } from "../manifest/plugin_module.ts";
import { type PluginFolder, readManifest } from "../manifest/read_manifest.ts";
import { resolveRights, type RightsContext } from "../manifest/resolve_rights.ts";
import { FactoryPlugin } from "./factory_plugin.ts";
import { HostedPlugin } from "./hosted_plugin.ts";
import type { Plugin } from "./plugin.ts";

/** How {@linkcode loadPlugin} loads. */
export interface LoadPluginOptions {
  /** What the application grants; read from {@linkcode LoadPluginOptions.lockFile} when left out. */
  readonly grants?: Grants;
  /** The file of grants; `hookline.lock.json` in the working directory by default. */
  readonly lockFile?: string;
  /** Where the plugin runs; the least that its manifest accepts by default. */
  readonly level?: IsolationLevel;
  /** What the plugin is given as `host.options`: JSON. */
  readonly options?: PluginOptions;
  /** Modules to hook instead of those that the manifest matches; its rights still bound them. */
  readonly modules?: ModuleSelector;
  /** Gets every use of a right and every refusal; see `createAuditLog`. */
  readonly audit?: Audit;
  /** Gets what the plugin logs, a line at a time; nobody by default. */
  readonly log?: (message: string) => void;
  /** The folder that `$OUT` in a manifest stands for; `hookline_output` by default. */
  readonly outputFolder?: string;
  /** True to load a plugin whose files nobody vouches for: one that is being written. */
  readonly allowUnsigned?: boolean;
  /**
   * True when the application runs with `--unstable-worker-options`, which the level `worker` needs and
   * which nothing in the process tells.
   */
  readonly unstableWorkerOptions?: boolean;
  /** Where packages that lie on a server are brought to; `.hookline/plugins` by default. */
  readonly downloadFolder?: string;
}

/** A plugin that was checked and may be attached. */
export interface LoadedPlugin extends Plugin, AsyncDisposable {
  /** What it says of itself. */
  readonly manifest: PluginManifest;
  /** What it may do here. */
  readonly rights: EffectiveRights;
  /** Where it runs. */
  readonly level: IsolationLevel;
  /** What vouches for its files. */
  readonly integrity: IntegrityState;
  /** What it used up to now. */
  readonly tally: Readonly<PluginTally>;
  /** Real path of its folder. */
  readonly root: string;
  /** Ends it; its hooks must be gone from every model. The last detachment does the same. */
  close(): Promise<void>;
}

/** What both kinds of loaded plugins are made from. */
export interface PluginSpec {
  readonly folder: PluginFolder;
  readonly rights: EffectiveRights;
  readonly level: IsolationLevel;
  readonly integrity: IntegrityState;
  /** Hash of the files that were checked; null when they were not. */
  readonly codeSha256: string | null;
  readonly mainUrl: string;
  readonly options: PluginOptions;
  readonly modules: ModuleSelector | null;
  readonly unstableWorkerOptions: boolean;
  readonly audit: Audit;
  readonly log: (message: string) => void;
}

const OPTIONS: readonly (keyof LoadPluginOptions)[] = [
  "grants",
  "lockFile",
  "level",
  "options",
  "modules",
  "audit",
  "log",
  "outputFolder",
  "allowUnsigned",
  "unstableWorkerOptions",
  "downloadFolder",
];
const LEVELS: readonly IsolationLevel[] = ["inline", "worker", "process"];

/**
 * Loads a plugin from a folder, a manifest file, or an `npm:` or `jsr:` specifier.
 *
 * Its code is loaded when it is first attached. Attach it to models through `definePipeline`, or with
 * `await plugin.prepare(model, { modelName })` and then `plugin.attach(…)`.
 *
 * @throws {HooklineError} PLUGIN_NOT_FOUND, MANIFEST_INVALID, HOOK_API_RANGE or PLUGIN_UNSUITED for what
 * it is; HOOK_INTEGRITY_MODIFIED or HOOK_INTEGRITY_UNSIGNED for its files; HOOK_PERMISSION_DENIED or
 * HOOK_PERMISSION_WIDENED for its grants; PLUGIN_ISOLATION for a level below what it accepts;
 * OPTION_INVALID for options that are no JSON.
 *
 * @example
 * ```ts ignore
 * import { definePipeline, loadPlugin } from "@hookline/hookline";
 * await using histogram = await loadPlugin("./packages/value_histogram");
 * await using pipeline = await definePipeline({
 *   models: { encoder: "bert.onnx" },
 *   plugins: [histogram],
 * }).open();
 * ```
 */
export async function loadPlugin(
  specifier: string,
  options: LoadPluginOptions = {},
): Promise<LoadedPlugin> {
  requireOptions("load a plugin", options, OPTIONS);
  requireJson(options.options);
  const folder = readManifest(await locatePlugin(specifier, options));
  const { manifest, root } = folder;
  const grants = options.grants ?? readGrants(options.lockFile ?? LOCK_FILE);
  const grant = Object.hasOwn(grants.plugins, manifest.name)
    ? grants.plugins[manifest.name]
    : undefined;
  const level = chooseLevel(manifest, options.level);
  const context: RightsContext = {
    grants,
    ...(options.outputFolder === undefined ? {} : { outputFolder: options.outputFolder }),
  };
  // Rights first: a plugin that nobody granted says so, rather than that nobody signed it.
  const rights = resolveRights(folder, context);
  requireEssential(manifest, rights);
  const { state, hashes } = checkIntegrity(folder, {
    grant,
    allowUnsigned: options.allowUnsigned ?? false,
  });
  const spec: PluginSpec = {
    folder,
    rights,
    level,
    integrity: state,
    codeSha256: hashes.codeSha256,
    mainUrl: pathToFileURL(join(root, manifest.main)).href,
    options: options.options ?? null,
    modules: options.modules ?? null,
    unstableWorkerOptions: options.unstableWorkerOptions ?? false,
    audit: options.audit ?? (() => {}),
    log: options.log ?? (() => {}),
  };
  return manifest.factory === null ? new HostedPlugin(spec) : new FactoryPlugin(spec);
}

/** Options cross to other realms, so they are what JSON can hold, at every level. */
function requireJson(options: unknown): void {
  if (options === undefined || isJson(options, [])) return;
  throw new HooklineError("OPTION_INVALID", {
    message: "cannot load a plugin with these options: they are not what JSON can hold",
    fix: "give null, booleans, finite numbers, texts, and arrays and plain objects of them",
    details: { option: "options" },
  });
}

function isJson(value: unknown, above: readonly object[]): boolean {
  if (value === null || typeof value === "boolean" || typeof value === "string") return true;
  if (typeof value !== "object") return typeof value === "number" && Number.isFinite(value);
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = Array.isArray(value) || prototype === Object.prototype || prototype === null;
  return isPlain && !above.includes(value) &&
    Object.values(value).every((item) => isJson(item, [...above, value]));
}

function chooseLevel(manifest: PluginManifest, asked: IsolationLevel | undefined): IsolationLevel {
  const level = asked ?? manifest.isolation;
  const refused = (found: string, fix: string): HooklineError =>
    new HooklineError("PLUGIN_ISOLATION", {
      message: `cannot run ${manifest.name} at the level "${String(level)}": ${found}`,
      fix,
      details: { plugin: manifest.name, level: String(level), least: manifest.isolation },
    });
  if (!LEVELS.includes(level)) throw refused("there is no such level", `use ${LEVELS.join(", ")}`);
  if (LEVELS.indexOf(level) < LEVELS.indexOf(manifest.isolation)) {
    throw refused(
      `its manifest accepts no less than "${manifest.isolation}"`,
      `use the level "${manifest.isolation}"`,
    );
  }
  if (manifest.factory !== null && level !== "inline") {
    throw refused(
      "it registers its hooks by itself, which needs the model",
      'use the level "inline", or write it as a PluginModule',
    );
  }
  return level;
}

/** A plugin that was denied the one right that its kind is made of could only fail. */
function requireEssential(manifest: PluginManifest, rights: EffectiveRights): void {
  const { kind, name } = manifest;
  const lacks = kind === "transformer" && !rights.writeActivations
    ? "write-activations"
    : kind === "replacer" && !rights.replaceForward
    ? "replace-forward"
    : kind === "resident" && !rights.manageResidency
    ? "manage-residency"
    : null;
  if (lacks === null) return;
  throw new HooklineError("HOOK_PERMISSION_DENIED", {
    message: `cannot load ${name}: a ${kind} without ${lacks} can do nothing`,
    fix: `grant ${lacks}, or leave the plugin out`,
    details: { plugin: name, permission: lacks },
  });
}
