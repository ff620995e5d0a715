// Runs a shard group instead of a module of a larger model: the module's inputs are fed by name, its
// outputs are what the group puts together. The rest of the model stays one session on its own device.

import {
  type ForwardCall,
  type HookAccess,
  ModelHook,
  type Tensor,
  type TensorMap,
} from "../../mod.ts";
import { fault, listText } from "./_fault.ts";
import type { ShardGroup } from "./shard_group.ts";

/** Options of {@linkcode ShardedForward}. */
export interface ShardedForwardOptions {
  /** The hook's name; `"sharded-forward"` when left out. */
  readonly name?: string;
}

/**
 * A hook that computes its module with a shard group, whose inputs and outputs have the names of the
 * module's.
 */
export class ShardedForward extends ModelHook {
  /** The hook's name. */
  override readonly name: string;
  /** It runs instead of the module. */
  override readonly access: HookAccess = "replace";
  readonly #group: ShardGroup;

  /** Makes the hook; register it on the module that the group computes. */
  constructor(group: ShardGroup, { name = "sharded-forward" }: ShardedForwardOptions = {}) {
    super();
    this.name = name;
    this.#group = group;
  }

  /** Runs the group on the module's inputs. */
  override async newForward(call: ForwardCall, inputs: TensorMap): Promise<TensorMap> {
    const feeds: Record<string, Tensor> = {};
    for (const { name } of this.#group.shards[0]?.inputs ?? []) {
      const value = inputs[name];
      if (value === undefined) throw missing(call, "input", name);
      feeds[name] = value;
    }
    const computed = await this.#group.run(
      feeds,
      call.signal === undefined ? {} : { signal: call.signal },
    );
    const outputs: Record<string, Tensor> = {};
    for (const name of call.outputNames) {
      const value = computed[name];
      if (value === undefined) throw missing(call, "output", name);
      outputs[name] = value;
    }
    return outputs;
  }
}

function missing(call: ForwardCall, what: "input" | "output", name: string): Error {
  const names = what === "input" ? call.inputNames : call.outputNames;
  return fault("OPTION_INVALID", {
    message:
      `cannot run shards instead of "${call.module.path}": their ${what} "${name}" is none of ` +
      `its ${what}s`,
    fix: `name the shards' ${what}s as the module's: ${listText(names)}`,
    details: { module: call.module.path, [what]: name },
  });
}
