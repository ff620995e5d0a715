// Several sessions that are one model: each holds a shard of the weights (tensor parallel), or runs a
// part of the batch (data parallel), on one device or several. It gives every shard its inputs, runs
// them at the same time and puts their outputs together. Hooks on it are an output editor's business.
//
// The mesh is `data` rows of `tensor` shards; rank = row · tensor + column.

import { AsyncLocalStorage } from "node:async_hooks";
import type { Model, RunOptions, Tensor, TensorMap } from "../../mod.ts";
import { fault, listText } from "./_fault.ts";
import { ShardRun } from "./shard_meeting.ts";
import { evenSizes, joinTensors, splitTensor, sumTensors } from "./tensor_axes.ts";

/** How an output of tensor-parallel shards becomes one tensor. */
export type ShardOutput =
  /** Every shard has the whole: the first one's is taken. */
  | "same"
  /** Partial sums, as behind a row-parallel layer: added in the order of the shards. */
  | "sum"
  /** Parts along a dimension, as behind a column-parallel layer: joined in the order of the shards. */
  | { readonly gather: number };

/** How an input reaches the shards. */
export type ShardInput =
  /** The whole, to every shard: also in every data-parallel row. */
  | "same"
  /** Cut along a dimension, one part for each tensor-parallel shard. */
  | { readonly split: number };

/** Options of {@linkcode ShardGroup}. */
export interface ShardGroupOptions {
  /** Shards of one model; all of them when left out. */
  readonly tensor?: number;
  /** Rows that each run a part of the batch, which is cut along dimension 0; 1 when left out. */
  readonly data?: number;
  /** Inputs that are not simply given to all (data parallel: cut along dimension 0). */
  readonly inputs?: Readonly<Record<string, ShardInput>>;
  /** How outputs come together; every one must be named when there are several tensor shards. */
  readonly outputs?: Readonly<Record<string, ShardOutput>>;
}

/** Where the code runs that asks: in which run of the group, and in which shard. */
export interface ShardPlace {
  /** The run. */
  readonly run: ShardRun;
  /** The shard. */
  readonly rank: number;
}

/**
 * A group of shards. It owns neither the models nor their sessions: close them where you opened them.
 *
 * @example
 * ```ts
 * import { openModel } from "@hookline/hookline";
 * import { ShardGroup } from "@hookline/hookline/plugins/output-edit";
 * await using replica = await openModel("bert.onnx");
 * const group = new ShardGroup([replica], {});
 * console.log(group.size, group.mesh); // 1 { data: 1, tensor: 1 }
 * ```
 */
export class ShardGroup {
  /** The shards by rank. */
  readonly shards: readonly Model[];
  /** Rows and columns of the mesh. */
  readonly mesh: { readonly data: number; readonly tensor: number };
  readonly #inputs: Readonly<Record<string, ShardInput>>;
  readonly #outputs: Readonly<Record<string, ShardOutput>>;
  readonly #place = new AsyncLocalStorage<ShardPlace>();
  #runs = 0;

  /**
   * Makes a group.
   *
   * @throws {HooklineError} OPTION_INVALID when the mesh does not have as many places as there are
   * shards, or an output of several tensor shards is not named.
   */
  constructor(shards: readonly Model[], options: ShardGroupOptions = {}) {
    const { data = 1, tensor = shards.length / data, inputs = {}, outputs = {} } = options;
    const isCount = (count: number) => Number.isSafeInteger(count) && count > 0;
    if (!isCount(data) || !isCount(tensor) || data * tensor !== shards.length) {
      throw fault("OPTION_INVALID", {
        message:
          `cannot make a group of ${shards.length} shards: a mesh of ${data} × ${tensor} has ` +
          `${data * tensor} places`,
        fix: "give data and tensor so that data × tensor is the number of shards",
        details: { shards: shards.length, data, tensor },
      });
    }
    this.shards = Object.freeze([...shards]);
    this.mesh = Object.freeze({ data, tensor });
    this.#inputs = Object.freeze({ ...inputs });
    this.#outputs = Object.freeze({ ...outputs });
    const first = shards[0] as Model;
    requireKnown("input", Object.keys(inputs), first.inputs.map(({ name }) => name));
    const names = first.outputs.map(({ name }) => name);
    requireKnown("output", Object.keys(outputs), names);
    const open = names.filter((name) => !Object.hasOwn(outputs, name));
    if (tensor > 1 && open.length > 0) {
      throw fault("OPTION_INVALID", {
        message: `cannot make a group of ${tensor} tensor shards: how the output ${
          listText(open)
        } comes together is not said`,
        fix: 'give outputs: { NAME: "same" | "sum" | { gather: axis } }',
        details: { outputs: open },
      });
    }
  }

  /** How many shards there are. */
  get size(): number {
    return this.shards.length;
  }

  /** The run and shard of the code that asks; undefined outside {@linkcode run}. */
  get place(): ShardPlace | undefined {
    return this.#place.getStore();
  }

  /**
   * Runs every shard once and puts the outputs together.
   *
   * @throws what the first failing shard threw; the others are released before.
   */
  async run(feeds: TensorMap, options: RunOptions = {}): Promise<TensorMap> {
    const feedsByRank = this.#split(feeds);
    const run = new ShardRun(this.#runs++, this.size);
    const runs = this.shards.map(async (shard, rank) => {
      try {
        const outputs = await this.#place.run(
          { run, rank },
          () => shard.run(feedsByRank[rank] as TensorMap, options),
        );
        run.end(rank);
        return outputs;
      } catch (error) {
        run.fail(error);
        throw error;
      }
    });
    await Promise.allSettled(runs);
    if (run.failure !== null) throw run.failure.error;
    return this.#join(await Promise.all(runs));
  }

  #split(feeds: TensorMap): TensorMap[] {
    const { data, tensor } = this.mesh;
    const ranks: Record<string, Tensor>[] = this.shards.map(() => ({}));
    for (const [name, value] of Object.entries(feeds)) {
      const how = Object.hasOwn(this.#inputs, name) ? this.#inputs[name] : undefined;
      const rows = how === "same" || data === 1
        ? Array.from({ length: data }, () => value)
        : cut(name, value, { axis: 0, parts: data });
      for (const [row, part] of rows.entries()) {
        const columns = typeof how === "object"
          ? cut(name, part, { axis: how.split, parts: tensor })
          : null;
        for (let column = 0; column < tensor; column++) {
          (ranks[row * tensor + column] as Record<string, Tensor>)[name] = columns?.[column] ??
            part;
        }
      }
    }
    return ranks;
  }

  #join(outputs: readonly TensorMap[]): TensorMap {
    const { data, tensor } = this.mesh;
    const joined: Record<string, Tensor> = {};
    for (const name of Object.keys(outputs[0] ?? {})) {
      const rows = Array.from({ length: data }, (_, row) => {
        const parts = outputs.slice(row * tensor, (row + 1) * tensor)
          .map((map) => map[name] as Tensor);
        const how = this.#outputs[name] ?? "same";
        if (how === "same") return parts[0] as Tensor;
        return how === "sum" ? sumTensors(parts) : joinTensors(parts, how.gather);
      });
      joined[name] = joinTensors(rows, 0);
    }
    return joined;
  }
}

function cut(
  name: string,
  value: Tensor,
  { axis, parts }: { readonly axis: number; readonly parts: number },
): Tensor[] {
  const at = axis < 0 ? axis + value.shape.length : axis;
  const size = value.shape[at];
  if (size === undefined || size < parts) {
    throw fault("FEED_SHAPE", {
      message: `cannot cut input "${name}" into ${parts} parts along dimension ${axis}: it has ${
        size ?? "no such"
      }`,
      fix: 'give a larger batch, or say inputs: { NAME: "same" } for what every shard gets whole',
      details: { input: name, axis, parts },
    });
  }
  return splitTensor(value, { axis: at, sizes: evenSizes(size, parts) });
}

function requireKnown(
  what: string,
  given: readonly string[],
  known: readonly string[],
): void {
  const unknown = given.filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  throw fault("OPTION_INVALID", {
    message: `cannot make a shard group: its shards have no ${what} ${listText(unknown)}`,
    fix: `name some of ${known.join(", ")}`,
    details: { names: unknown },
  });
}
