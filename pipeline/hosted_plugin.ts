// A plugin of strangers on models: one host at the chosen level of isolation for all of them, a guarded hook
// on every matched module. It decides which modules those are; what a hook may do is the guard's. Invariant:
// the host lives from the first preparation to the last detachment.

import { HooklineError } from "../errors/hookline_error.ts";
import type { GraphModule } from "../graph/graph_module.ts";
import { selectModules } from "../graph/selector.ts";
import type { DeclaredHook, PluginManifest } from "../manifest/plugin_manifest.ts";
import {
  compareHooks,
  hookWords,
  implementedPhases,
  natureOf,
} from "../manifest/declared_hooks.ts";
import { guardHook } from "../manifest/guarded_hook.ts";
import { requireOnnxRuntime, unsuited } from "../manifest/hook_api.ts";
import { hostInline, type LoadedModule } from "../manifest/inline_host.ts";
import { requireUnchanged } from "../manifest/integrity.ts";
import type { ModelHook } from "../hooks/model_hook.ts";
import type { LoadedPlugin, PluginSpec } from "./load_plugin.ts";
import { SpecifiedPlugin } from "./_specified_plugin.ts";
import type { Model } from "./model.ts";
import type { PluginContext } from "./plugin.ts";

/** Hooks that were made for a model and not registered yet. */
type Prepared = readonly { readonly path: string; readonly hook: ModelHook }[];

/** A plugin whose main module exports a `PluginModule`. */
export class HostedPlugin extends SpecifiedPlugin implements LoadedPlugin {
  #prepared = new WeakMap<Model, Prepared>();
  #host: Promise<LoadedModule> | null = null;
  #attachments = 0;

  /** Loads the code and makes the hooks for a model; nothing is registered. */
  async prepare(model: Model): Promise<void> {
    await requireSuited(this.manifest, model);
    const modules = matchedModules(model, this.spec);
    try {
      await this.#makeHooks(model, modules);
    } catch (error) {
      // Nobody may be left to close it: a pipeline that does not open forgets its plugins.
      await this.#closeIfIdle().catch(() => {});
      throw error;
    }
  }

  async #makeHooks(model: Model, modules: readonly GraphModule[]): Promise<void> {
    const { manifest } = this;
    const host = await (this.#host ??= openHost(this.spec));
    const implemented = new Set<DeclaredHook>();
    const prepared: { path: string; hook: ModelHook }[] = [];
    for (const { path, className, calls } of modules) {
      const facts = Object.freeze({ path, className, callCount: calls.length });
      const hook = await host.createHook(facts);
      if (hook === null) continue;
      for (const word of hookWords(implementedPhases(hook), natureOf(manifest))) {
        implemented.add(word);
      }
      prepared.push({
        path,
        hook: guardHook({
          manifest,
          rights: this.rights,
          module: facts,
          level: this.level,
          hook,
          tally: this.tally,
          audit: this.spec.audit,
          modelInputs: model.inputs.map(({ name }) => name),
          modelOutputs: model.outputs.map(({ name }) => name),
        }),
      });
    }
    requireDeclared(manifest, implemented, prepared.length);
    this.#prepared.set(model, prepared);
  }

  /** Registers the prepared hooks, all of them or none. */
  attach(model: Model, context: PluginContext): AsyncDisposable {
    const prepared = this.#prepared.get(model);
    if (prepared === undefined) throw unprepared(this.name, context);
    const hooks = new AsyncDisposableStack();
    this.#prepared.delete(model);
    try {
      using attempt = new DisposableStack();
      for (const { path, hook } of prepared) {
        hooks.use(attempt.use(model.registry(path).register(hook, { plugin: this.name })));
      }
      attempt.move();
    } catch (error) {
      this.#closeIfIdle().catch(() => {}); // the refusal is what the caller has to know
      throw error;
    }
    this.#attachments++;
    let isAttached = true;
    return {
      [Symbol.asyncDispose]: async (): Promise<void> => {
        if (!isAttached) return;
        isAttached = false;
        try {
          await hooks.disposeAsync();
        } finally {
          this.#attachments--;
          await this.#closeIfIdle();
        }
      },
    };
  }

  /** Ends the plugin. */
  async close(): Promise<void> {
    const opening = this.#host;
    this.#host = null;
    // Hooks that were made there cannot be attached any more.
    this.#prepared = new WeakMap();
    const host = await opening?.catch(() => null); // whoever opened it knows why it failed
    await host?.close();
  }

  async #closeIfIdle(): Promise<void> {
    if (this.#attachments === 0) await this.close();
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The error for a plugin that is attached without having been prepared. */
export function unprepared(plugin: string, { modelName }: PluginContext): HooklineError {
  return new HooklineError("PIPELINE_INVALID", {
    message: `cannot attach plugin "${plugin}" to "${modelName}": it was not prepared for it`,
    fix:
      `await plugin.prepare(model, { modelName: "${modelName}" }) first; a pipeline does it itself`,
    details: { plugin, model: modelName },
  });
}

/** Loads a plugin's code at its level. */
export async function openHost(spec: PluginSpec): Promise<LoadedModule> {
  const { folder, rights, options, audit, log, mainUrl, level, unstableWorkerOptions } = spec;
  const { root, manifest } = folder;
  if (spec.codeSha256 !== null) requireUnchanged(folder, spec.codeSha256);
  if (level === "inline") return await hostInline({ root, manifest, rights, options, audit, log });
  const hosted = {
    root,
    mainUrl,
    rights,
    options,
    audit,
    log,
    budgets: manifest.budgets,
  };
  if (level === "worker") {
    const { hostInWorker } = await import("../manifest/isolation/worker_host.ts");
    return await hostInWorker(hosted, { unstableWorkerOptions });
  }
  const { hostInProcess } = await import("../manifest/isolation/process_host.ts");
  return await hostInProcess(hosted);
}

/** Checks what can only be known once there is a model. */
export async function requireSuited(manifest: PluginManifest, model: Model): Promise<void> {
  const { eps } = manifest.match;
  if (eps.length > 0 && !eps.includes(model.provider.name)) {
    throw unsuited(manifest, {
      needs: `execution provider ${eps.join(" or ")}`,
      found: model.provider.name,
    });
  }
  if (manifest.engines["onnxruntime-node"] === undefined) return;
  requireOnnxRuntime(manifest, (await model.provenance()).versions.onnxruntime);
}

/** The modules that are hooked: chosen or matched, not excluded, within the rights, in the order of their paths. */
function matchedModules(model: Model, spec: PluginSpec): GraphModule[] {
  const { folder, rights, modules: chosen, audit } = spec;
  const { manifest } = folder;
  const find = (globs: readonly string[]): Set<GraphModule> =>
    new Set(
      globs.length === 0
        ? []
        : globs.flatMap((glob) =>
          glob === ""
            ? model.modules.filter(({ path }) => path === "")
            : selectModules(model.tree, glob, { allowEmpty: true })
        ),
    );
  const excluded = find(manifest.match.exclude);
  const allowed = find(rights.modules);
  const matched = chosen === null ? [...find(manifest.match.modules)] : [...model.select(chosen)];
  const found: GraphModule[] = [];
  for (const module of matched) {
    const isHookable = module.insideBody === null && module.calls.length > 0;
    if (!isHookable || excluded.has(module)) continue;
    if (allowed.has(module)) found.push(module);
    else {
      audit({
        plugin: manifest.name,
        permission: "modules",
        value: module.path,
        module: module.path,
        decision: "deny",
      });
    }
  }
  if (found.length === 0) throw nothingMatched(model, spec, matched.length);
  return found.sort((left, right) => left.path < right.path ? -1 : 1);
}

function nothingMatched(model: Model, spec: PluginSpec, matched: number): HooklineError {
  const { manifest } = spec.folder;
  const globs = spec.modules === null ? manifest.match.modules : "the chosen modules";
  const shown = typeof globs === "string" ? globs : globs.map((glob) => `"${glob}"`).join(", ");
  return new HooklineError("HOOK_MATCH_EMPTY", {
    message: matched === 0
      ? `cannot attach ${manifest.name} to "${model.label}": ${shown} names none of its modules`
      : `cannot attach ${manifest.name} to "${model.label}": of ${matched} modules that ${shown} ` +
        "names, none can be hooked within the plugin's rights",
    fix: "choose modules with the option `modules`; `hookline inspect` lists them",
    details: {
      plugin: manifest.name,
      nearest: model.modules.slice(1, 4).map(({ path }) => path),
    },
  });
}

/** What the code implements and what the manifest declares, both ways. */
function requireDeclared(
  manifest: PluginManifest,
  implemented: ReadonlySet<DeclaredHook>,
  hookCount: number,
): void {
  const { undeclared, unimplemented } = compareHooks(manifest, implemented);
  if (undeclared.length === 0 && (unimplemented.length === 0 || hookCount === 0)) return;
  const parts = [
    ...undeclared.length > 0 ? [`implements ${undeclared.join(", ")} undeclared`] : [],
    ...unimplemented.length > 0 ? [`declares ${unimplemented.join(", ")} without a method`] : [],
  ];
  throw new HooklineError("HOOK_ACCESS", {
    message: `cannot attach ${manifest.name}: it ${parts.join(" and ")}`,
    fix: "make `hooks` in the manifest and the methods of its hooks the same",
    details: {
      plugin: manifest.name,
      undeclared: [...undeclared],
      unimplemented: [...unimplemented],
    },
  });
}
