// Hosts a plugin in this isolate, where its permissions are a contract and not a wall: it is given nothing
// but the capability object, and nothing stops it from reaching for globals. It loads the main module and
// makes hooks; what they may see and return is the guard's business.

import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { causeText } from "../errors/cause_text.ts";
import { HooklineError } from "../errors/hookline_error.ts";
import { readVariable } from "../host/environment.ts";
import type { ModuleFacts } from "../hooks/model_hook.ts";
import type { Audit } from "./audit.ts";
import type { EffectiveRights } from "./effective_rights.ts";
import { coversName } from "./permission_scope.ts";
import type { PluginManifest } from "./plugin_manifest.ts";
import type { PluginHook, PluginHost, PluginModule, PluginOptions } from "./plugin_module.ts";
import { SinkFolder } from "./plugin_sink.ts";

/** What a plugin is hosted with. */
export interface InlineSpec {
  /** Real path of its folder. */
  readonly root: string;
  readonly manifest: PluginManifest;
  readonly rights: EffectiveRights;
  readonly options: PluginOptions;
  readonly audit: Audit;
  /** Where its log lines go. */
  readonly log: (message: string) => void;
}

/** A plugin whose code is loaded, at any level of isolation. */
export interface LoadedModule {
  /** Makes the hook of one module; null when the plugin leaves it alone. */
  createHook(module: ModuleFacts): Promise<PluginHook | null>;
  /** Ends the plugin. A second call does nothing. */
  close(): Promise<void>;
}

/**
 * Loads a plugin's main module into this isolate.
 *
 * @throws {HooklineError} PLUGIN_MODULE when it does not load or exports no plugin; `createHook` and
 * `close` when they throw.
 */
export async function hostInline(spec: InlineSpec): Promise<LoadedModule> {
  const { manifest, rights, audit } = spec;
  const module = asPluginModule(await importMain(spec), manifest);
  const sinks = new SinkFolder({ rights, audit, outputBytes: manifest.budgets.outputBytes });
  const host: PluginHost = Object.freeze({
    env: grantedVariables(rights.env),
    options: structuredClone(spec.options),
    openSink: (name: string) => sinks.open(name),
    log: (message: string) => spec.log(String(message)),
  });
  let isOpen = true;
  return {
    async createHook(facts) {
      return asPluginHook(
        await blaming(manifest, "createHook", () => module.createHook(facts, host)),
        manifest,
      );
    },
    async close() {
      if (!isOpen) return;
      isOpen = false;
      try {
        await blaming(manifest, "close", () => module.close?.());
      } finally {
        sinks[Symbol.dispose]();
      }
    },
  };
}

/**
 * Imports a plugin's main module into this isolate.
 *
 * @throws {HooklineError} PLUGIN_MODULE.
 */
export async function importMain(
  { root, manifest }: { readonly root: string; readonly manifest: PluginManifest },
): Promise<Record<string, unknown>> {
  try {
    return await import(pathToFileURL(join(root, manifest.main)).href);
  } catch (cause) {
    throw moduleFault(manifest, `its main module does not load: ${causeText(cause)}`, cause);
  }
}

/** The error for code that is no plugin. */
export function moduleFault(
  { name, main }: PluginManifest,
  found: string,
  cause?: unknown,
): HooklineError {
  return new HooklineError("PLUGIN_MODULE", {
    message: `cannot load ${name} from ${main}: ${found}`,
    fix: "export a PluginModule by default: { createHook(module, host) { … } }",
    details: { plugin: name, main },
    cause,
  });
}

function asPluginModule(exports: Record<string, unknown>, manifest: PluginManifest): PluginModule {
  const module = exports["default"] as Partial<PluginModule> | null | undefined;
  if (typeof module === "object" && module !== null && typeof module.createHook === "function") {
    return module as PluginModule;
  }
  throw moduleFault(manifest, "its default export has no createHook()");
}

function asPluginHook(hook: unknown, manifest: PluginManifest): PluginHook | null {
  if (hook === null || hook === undefined) return null;
  if (typeof hook === "object" && !Array.isArray(hook)) return hook as PluginHook;
  throw moduleFault(manifest, `createHook() returned something of type ${typeof hook}`);
}

async function blaming<T>(
  manifest: PluginManifest,
  method: string,
  call: () => T | Promise<T>,
): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof HooklineError) throw cause;
    throw moduleFault(manifest, `${method}() threw: ${causeText(cause)}`, cause);
  }
}

/** The granted variables that are set. */
function grantedVariables(granted: readonly string[]): Readonly<Record<string, string>> {
  const found: Record<string, string> = Object.create(null);
  for (const name of granted) {
    const names = name.endsWith("*")
      ? setVariables().filter((one) => coversName(name, one))
      : [name];
    for (const one of names) {
      const value = readVariable(one);
      if (value !== undefined) found[one] = value;
    }
  }
  return Object.freeze(found);
}

/** The names of all variables, where the process may list them; a prefix finds nothing elsewhere. */
function setVariables(): string[] {
  try {
    return Object.keys(process.env);
  } catch {
    return [];
  }
}
