// What every plugin must do, as cases that any test runner can run: its manifest holds, its code is what
// the manifest says, and its hooks keep the promises that the manifest makes. Each case throws when it fails.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { ModuleSelector } from "../graph/selector.ts";
import type { Audit, AuditEntry } from "../manifest/audit.ts";
import type { IsolationLevel } from "../manifest/plugin_manifest.ts";
import { grantRequested } from "../manifest/grants.ts";
import type { PluginOptions } from "../manifest/plugin_module.ts";
import { readManifest } from "../manifest/read_manifest.ts";
import { attachPlugins } from "../pipeline/attach_plugins.ts";
import { checkPlugin } from "../pipeline/check_plugin.ts";
import { loadPlugin } from "../pipeline/load_plugin.ts";
import type { Model } from "../pipeline/model.ts";
import type { ModelSource } from "../pipeline/model_structure.ts";
import { openModel } from "../pipeline/open_model.ts";
import type { Engine } from "../sessions/engine.ts";
import { openSessions } from "../sessions/session_ledger.ts";
import { float32, type TensorMap } from "../tensor/tensor.ts";
import { buildModel } from "./build_model.ts";
import { fakeEngine } from "./fake_engine.ts";

/** What the cases run on; all of it has a default that needs no native code. */
export interface ConformanceOptions {
  /** What the plugin is given as `host.options`. */
  readonly options?: PluginOptions;
  /** Modules to hook instead of those that its manifest matches. */
  readonly modules?: ModuleSelector;
  /** A model; three layers of `buildModel` by default. */
  readonly model?: ModelSource;
  /** Inputs for the model, as many maps as there are to be runs. */
  readonly inputs?: readonly TensorMap[];
  /** The engine; `fakeEngine()` by default. */
  readonly engine?: Engine;
  /** Where the plugin runs; the least that its manifest accepts by default. */
  readonly level?: IsolationLevel;
  /** See `loadPlugin`; needed for the level `worker`. */
  readonly unstableWorkerOptions?: boolean;
  /** The folder that `$OUT` in the manifest stands for; the working directory by default. */
  readonly outputFolder?: string;
}

/** One case; `run` rejects when the plugin does not hold it. */
export interface ConformanceCase {
  /** What is held, as a sentence. */
  readonly name: string;
  /** Runs the case. */
  readonly run: () => Promise<void>;
}

/**
 * The cases that every plugin must pass, for any test runner.
 *
 * @param folder The plugin's folder, as a path or a `file:` URL.
 *
 * @example
 * ```ts ignore
 * import { pluginConformance } from "@hookline/hookline/testing";
 * for (const one of pluginConformance(new URL(".", import.meta.url))) Deno.test(one.name, one.run);
 * ```
 */
export function pluginConformance(
  folder: string | URL,
  options: ConformanceOptions = {},
): readonly ConformanceCase[] {
  const root = folder instanceof URL ? fileURLToPath(folder) : folder;
  const suite = new Suite(root, options);
  return [
    { name: "the manifest holds and the code is what it says", run: () => suite.checks() },
    {
      name: "attaching and detaching leaves the model as it was",
      run: () => suite.leavesNoTrace(),
    },
    { name: "what it changes is what its numerics say", run: () => suite.keepsNumerics() },
    { name: "the same inputs give the same outputs", run: () => suite.isDeterministic() },
    { name: "a good run is denied nothing", run: () => suite.isDeniedNothing() },
    { name: "its state can be reset", run: () => suite.resets() },
  ];
}

class Suite {
  readonly #root: string;
  readonly #options: ConformanceOptions;

  constructor(root: string, options: ConformanceOptions) {
    this.#root = root;
    this.#options = options;
  }

  async checks(): Promise<void> {
    const { options = null, unstableWorkerOptions = false } = this.#options;
    const level = this.#options.level ?? readManifest(this.#root).manifest.isolation;
    const { findings } = await checkPlugin(this.#root, { options, level, unstableWorkerOptions });
    const errors = findings.filter(({ severity }) => severity === "error");
    assert.deepEqual(errors.map(({ pointer, message }) => `${pointer} ${message}`), []);
  }

  async leavesNoTrace(): Promise<void> {
    const before = openSessions().length;
    {
      await using model = await this.#open();
      const planHash = model.plan().hash;
      for (let time = 0; time < 2; time++) {
        {
          await using _attached = await this.#attach(model);
          assert.notEqual(model.plan().hash, planHash, "the plugin hooked nothing");
        }
        assert.equal(model.plan().hash, planHash, "a hook stayed behind");
      }
    }
    assert.equal(openSessions().length, before, "a session stayed open");
  }

  async keepsNumerics(): Promise<void> {
    const { manifest } = readManifest(this.#root);
    const plain = await this.#outputs(false);
    const hooked = await this.#outputs(true);
    if (manifest.numerics === "changes") return;
    const { atol, rtol } = manifest.numerics === "transparent"
      ? { atol: 0, rtol: 0 }
      : manifest.numerics.tolerant;
    plain.forEach((outputs, run) => {
      for (const [name, { data }] of Object.entries(outputs)) {
        const found = hooked[run]?.[name]?.data as Float32Array;
        (data as Float32Array).forEach((value, index) => {
          const other = found[index] as number;
          const isNear = Object.is(value, other) ||
            Math.abs(value - other) <= atol + rtol * Math.abs(value);
          assert.ok(
            isNear,
            `run ${run}, ${name}[${index}]: ${other} with the plugin, ${value} without`,
          );
        });
      }
    });
  }

  async isDeterministic(): Promise<void> {
    const { manifest } = readManifest(this.#root);
    const [first, second] = [await this.#outputs(true), await this.#outputs(true)];
    if (manifest.determinism === "deterministic") assert.deepEqual(second, first);
  }

  async isDeniedNothing(): Promise<void> {
    const entries: AuditEntry[] = [];
    await this.#outputs(true, (entry) => void entries.push(entry));
    // The model's own inputs and outputs are hidden from whoever did not ask for them: that is no attempt.
    const denied = entries.filter(({ decision, permission }) =>
      decision === "deny" && permission !== "read-inputs" && permission !== "read-outputs"
    );
    assert.deepEqual(denied, []);
  }

  async resets(): Promise<void> {
    await using model = await this.#open();
    await using _attached = await this.#attach(model);
    const [inputs = {}] = this.#inputs();
    const first = await model.run(inputs);
    for (const module of model.modules) {
      if (module.calls.length > 0 && module.insideBody === null) {
        model.registry(module.path).reset();
      }
    }
    assert.deepEqual(
      await model.run(inputs),
      first,
      "a run after a reset differs from the first one",
    );
  }

  #open(): Promise<Model> {
    const { model = buildModel(), engine = fakeEngine() } = this.#options;
    return openModel(model, { engine, provider: "cpu", optimization: "disabled" });
  }

  #inputs(): readonly TensorMap[] {
    return this.#options.inputs ?? [
      { x: float32([1, 4], [1, -2, 3, 0.5]) },
      { x: float32([2, 4], [0, 1, 2, 3, -1, -2, -3, -4]) },
    ];
  }

  async #attach(model: Model, audit?: Audit): Promise<AsyncDisposable> {
    const { options, modules, outputFolder, level, unstableWorkerOptions = false } = this.#options;
    const plugin = await loadPlugin(this.#root, {
      grants: grantRequested(readManifest(this.#root)),
      ...(level === undefined ? {} : { level }),
      unstableWorkerOptions,
      ...(options === undefined ? {} : { options }),
      ...(modules === undefined ? {} : { modules }),
      ...(outputFolder === undefined ? {} : { outputFolder }),
      ...(audit === undefined ? {} : { audit }),
    });
    return await attachPlugins(model, [plugin]);
  }

  async #outputs(withPlugin: boolean, audit?: Audit): Promise<TensorMap[]> {
    await using stack = new AsyncDisposableStack();
    const model = stack.use(await this.#open());
    if (withPlugin) stack.use(await this.#attach(model, audit));
    const outputs: TensorMap[] = [];
    for (const inputs of this.#inputs()) outputs.push(await model.run(inputs));
    return outputs;
  }
}
