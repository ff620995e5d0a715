// A plugin whose main module exports a factory: code that registers its hooks on the model by itself, as
// Hookline's own plugins do. It runs inline and is trusted like the application; what is checked is that
// it registers no more than it declared. Invariant: one that does is taken off the model again, at once.

import { HooklineError } from "../errors/hookline_error.ts";
import { HookRegistry } from "../hooks/hook_registry.ts";
import { hookPhases, type ModelHook } from "../hooks/model_hook.ts";
import { compareHooks, hookWords, KIND_ACCESSES } from "../manifest/declared_hooks.ts";
import { importMain, moduleFault } from "../manifest/inline_host.ts";
import { requireUnchanged } from "../manifest/integrity.ts";
import { requireSuited, unprepared } from "./hosted_plugin.ts";
import type { LoadedPlugin } from "./load_plugin.ts";
import { SpecifiedPlugin } from "./_specified_plugin.ts";
import type { Model } from "./model.ts";
import type { Plugin, PluginContext } from "./plugin.ts";

/** A plugin whose main module exports a factory. */
export class FactoryPlugin extends SpecifiedPlugin implements LoadedPlugin {
  #made: Plugin | null = null;

  /** Loads the code and makes the plugin; nothing is registered. */
  async prepare(model: Model, context: PluginContext): Promise<void> {
    await requireSuited(this.manifest, model);
    this.#made ??= await this.#make();
    await this.#made.prepare?.(model, context);
  }

  /** Lets the plugin register its hooks, and checks them. */
  attach(model: Model, context: PluginContext): Disposable | AsyncDisposable | void {
    if (this.#made === null) throw unprepared(this.name, context);
    const before = hooksOf(model);
    const attached = this.#made.attach(model, context);
    const added = [...hooksOf(model)].filter((hook) => !before.has(hook));
    const fault = this.#faultOf(added);
    if (fault === null) return attached;
    for (const registry of HookRegistry.all(model)) {
      for (const name of registry.names) {
        const hook = registry.get(name);
        if (hook !== undefined && added.includes(hook)) registry.remove(name).catch(() => {});
      }
    }
    release(attached);
    throw new HooklineError("HOOK_ACCESS", {
      message: `cannot attach ${this.name} to "${context.modelName}": ${fault}`,
      fix: "make `kind` and `hooks` in the manifest and the hooks of the code the same",
      details: { plugin: this.name, model: context.modelName },
    });
  }

  /** Nothing of it lives beyond its attachments. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #make(): Promise<Plugin> {
    const { manifest, root } = this;
    const { folder, codeSha256 } = this.spec;
    if (codeSha256 !== null) requireUnchanged(folder, codeSha256);
    const exports = await importMain({ root, manifest });
    const factory = exports[manifest.factory ?? ""];
    if (typeof factory !== "function") {
      throw moduleFault(manifest, `it exports no function "${manifest.factory}"`);
    }
    const { options } = this.spec;
    const given = options === null && this.spec.modules === null ? {} : {
      ...(typeof options === "object" && options !== null ? options : {}),
      ...(this.spec.modules === null ? {} : { modules: this.spec.modules }),
    };
    const made = factory(given) as Partial<Plugin> | null | undefined;
    if (typeof made === "object" && made !== null && typeof made.attach === "function") {
      return made as Plugin;
    }
    throw moduleFault(manifest, `"${manifest.factory}" returned no plugin`);
  }

  #faultOf(added: readonly ModelHook[]): string | null {
    const allowed = KIND_ACCESSES[this.manifest.kind];
    const beyond = added.find(({ access }) => !allowed.includes(access));
    if (beyond !== undefined) {
      return `its hook "${beyond.name}" has access ${beyond.access}, but it is of the kind ${this.manifest.kind}`;
    }
    const words = added.flatMap((hook) => hookWords(hookPhases(hook), hook));
    const { undeclared } = compareHooks(this.manifest, words);
    return undeclared.length === 0 ? null : `it implements ${undeclared.join(", ")} undeclared`;
  }
}

/** Lets go of what a refused attachment opened; that it was refused is what is reported. */
function release(attached: Disposable | AsyncDisposable | void): void {
  if (attached === undefined) return;
  if (Symbol.dispose in attached) attached[Symbol.dispose]();
  else attached[Symbol.asyncDispose]().then(undefined, () => {});
}

function hooksOf(model: Model): Set<ModelHook> {
  return new Set(
    HookRegistry.all(model).flatMap((registry) =>
      registry.names.flatMap((name) => registry.get(name) ?? [])
    ),
  );
}
