// What one plugin sees of one module's tensors: nothing, a description, or copies, as its rights say. It
// also keeps the audit of that module, where each right is logged when it is first used. Invariant: a
// tensor that leaves here in a plugin's own isolate is a copy.

import { Buffer } from "node:buffer";
import type { ModuleFacts } from "../hooks/model_hook.ts";
import { copyTensor, emptyTensorMap, type Tensor, type TensorMap } from "../tensor/tensor.ts";
import type { Audit, AuditEntry } from "./audit.ts";
import type { EffectiveRights } from "./effective_rights.ts";
import type { IsolationLevel, PluginManifest } from "./plugin_manifest.ts";
import { type CallTensors, describeTensors } from "./tensor_facts.ts";

/** Whose view it is. */
export interface ViewSpec {
  readonly manifest: PluginManifest;
  readonly rights: EffectiveRights;
  readonly module: ModuleFacts;
  readonly level: IsolationLevel;
  readonly audit: Audit;
  /** Names of the model's own inputs, which `read-inputs` guards. */
  readonly modelInputs: readonly string[];
  /** Names of the model's own outputs, which `read-outputs` guards. */
  readonly modelOutputs: readonly string[];
}

const NOTHING: TensorMap = Object.freeze(emptyTensorMap());
const NO_FACTS: CallTensors = Object.freeze({
  inputs: Object.freeze({}),
  outputs: Object.freeze({}),
});

/** The view of one module. */
export class ActivationView {
  readonly #spec: ViewSpec;
  readonly #logged = new Set<string>();

  /** Shows and logs nothing yet. */
  constructor(spec: ViewSpec) {
    this.#spec = spec;
  }

  /** The tensors that the plugin may see the values of: copies in its own isolate, as they are for a transport. */
  of(tensors: TensorMap, side: "inputs" | "outputs"): TensorMap {
    const { rights, level } = this.#spec;
    if (rights.readActivations !== "values") return NOTHING;
    const shown = emptyTensorMap() as Record<string, Tensor>;
    for (const [name, tensor] of Object.entries(tensors)) {
      if (!this.#mayRead(name, side) || !this.#isWanted(tensor)) continue;
      shown[name] = level === "inline" ? copyTensor(tensor) : tensor;
    }
    if (Object.keys(shown).length > 0) this.allow("read-activations");
    return Object.freeze(shown);
  }

  /** The tensors that {@linkcode of} leaves out. */
  hidden(tensors: TensorMap, side: "inputs" | "outputs"): TensorMap {
    const isShown = this.#spec.rights.readActivations === "values";
    return Object.fromEntries(
      Object.entries(tensors).filter(([name, tensor]) =>
        !(isShown && this.#mayRead(name, side) && this.#isWanted(tensor))
      ),
    );
  }

  /** What the plugin may know of the tensors without seeing them. */
  facts(
    { inputs = NOTHING, outputs = NOTHING }: {
      readonly inputs?: TensorMap;
      readonly outputs?: TensorMap;
    },
  ): CallTensors {
    const level = this.#spec.rights.readActivations;
    if (level === "none") return NO_FACTS;
    // At `values` the plugin can work them out itself, and should not pay for them.
    const withStatistics = level === "stats";
    const readable = (tensors: TensorMap, side: "inputs" | "outputs"): TensorMap =>
      Object.fromEntries(
        Object.entries(tensors).filter(([name, tensor]) =>
          this.#mayRead(name, side) && this.#isWanted(tensor)
        ),
      );
    const described = Object.freeze({
      inputs: describeTensors(readable(inputs, "inputs"), withStatistics),
      outputs: describeTensors(readable(outputs, "outputs"), withStatistics),
    });
    if (withStatistics) this.allow("read-activations");
    return described;
  }

  /** Names of the tensors whose copies the plugin wrote into. */
  writtenInto(original: TensorMap, seen: TensorMap): string[] {
    if (this.#spec.level !== "inline") return []; // the transport holds what was written there
    return Object.keys(seen).filter((name) => {
      const [before, after] = [original[name], seen[name]];
      return before !== undefined && after !== undefined && !isSame(before, after);
    });
  }

  /** Logs the use of a right, once. */
  allow(permission: string): void {
    if (this.#logged.has(permission)) return;
    this.#logged.add(permission);
    this.record(permission, { value: null, decision: "allow" });
  }

  /** Logs what was tried at this module. */
  record(permission: string, entry: Pick<AuditEntry, "value" | "decision">): void {
    const { manifest, module, audit } = this.#spec;
    audit({ plugin: manifest.name, permission, module: module.path, ...entry });
  }

  #isWanted({ dtype }: Tensor): boolean {
    const { dtypes } = this.#spec.manifest.match;
    return dtypes.length === 0 || dtypes.includes(dtype);
  }

  /** The model's own inputs and outputs are the user's data: activations rights do not reach them. */
  #mayRead(name: string, side: "inputs" | "outputs"): boolean {
    const { rights, modelInputs, modelOutputs } = this.#spec;
    const asInput = modelInputs.includes(name);
    const asOutput = modelOutputs.includes(name);
    const holds = (names: readonly string[]): boolean =>
      names.includes("*") || names.includes(name);
    const may = (!asInput || holds(rights.readInputs)) && (!asOutput || holds(rights.readOutputs));
    const permission = asInput ? "read-inputs" : "read-outputs";
    const key = `${may} ${permission} ${side} ${name}`;
    if ((asInput || asOutput) && !this.#logged.has(key)) {
      this.#logged.add(key);
      this.record(permission, { value: name, decision: may ? "allow" : "deny" });
    }
    return may;
  }
}

function isSame(left: Tensor, right: Tensor): boolean {
  const [a, b] = [left.data, right.data];
  if (ArrayBuffer.isView(a) && ArrayBuffer.isView(b)) {
    return bytesOf(a).equals(bytesOf(b));
  }
  if (ArrayBuffer.isView(a) || ArrayBuffer.isView(b)) return false;
  return a.length === b.length && a.every((text, index) => text === b[index]);
}

function bytesOf(data: ArrayBufferView): Buffer {
  return Buffer.from(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}
