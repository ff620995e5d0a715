// Chains of small models, and what everybody else would make of them: their sessions one by one.

import assert from "node:assert/strict";
import type { ChainLink, SessionChain, SessionSettings } from "../../../sessions/engine.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import type { DType } from "../../../tensor/dtype.ts";
import { emptyTensorMap, float32, type Tensor, type TensorMap } from "../../../tensor/tensor.ts";
import { buildModel } from "../tiny_models.ts";

/** The engine of all chains here. */
export const engine: NativeEngine = new NativeEngine();

/** Settings of a session. */
export function settings(label: string): SessionSettings {
  return { provider: "cpu", optimization: "all", threads: 2, prepacking: true, label };
}

/** Runs of a chain that the first ones prepare: the later ones take the quick way. */
export const RUNS = 6;

/** A chain with its sessions, released with them. */
export interface Opened extends AsyncDisposable {
  readonly links: readonly ChainLink[];
  readonly chain: SessionChain;
  /** Session by session, what everybody else would do. */
  stepwise(feeds: TensorMap): Promise<TensorMap>;
}

/** Opens a chain of models, one link each. */
export async function openChain(
  models: readonly Uint8Array[],
  wanted: readonly string[],
): Promise<Opened> {
  await using stack = new AsyncDisposableStack();
  const links: ChainLink[] = [];
  for (const [index, bytes] of models.entries()) {
    const source = { kind: "bytes", bytes, weightFolder: null } as const;
    const session = stack.use(await engine.open(source, settings(`link ${index}`)));
    links.push({ session, fetches: session.outputs.map(({ name }) => name) });
  }
  const chain = engine.chain(links, wanted);
  assert.ok(chain !== null);
  stack.defer(() => chain.release());
  const opened = stack.move();
  return {
    links,
    chain,
    async stepwise(feeds) {
      const values = Object.assign(emptyTensorMap(), feeds) as Record<string, Tensor>;
      for (const { session, fetches } of links) {
        const own = picked(values, session.inputs.map(({ name }) => name));
        Object.assign(values, await session.run(own, fetches));
      }
      return picked(values, wanted);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function picked(values: TensorMap, names: readonly string[]): TensorMap {
  const found: Record<string, Tensor> = emptyTensorMap();
  for (const name of names) found[name] = values[name] as Tensor;
  return found;
}

/** `to = OP(from)`. */
export function unary(op: string, from: string, to: string, dtype: DType = "float32"): Uint8Array {
  const shape = ["n"];
  return buildModel({
    inputs: [{ name: from, dtype, shape }],
    outputs: [{ name: to, dtype, shape }],
    nodes: [{ op, inputs: [from], outputs: [to] }],
  });
}

/** `to = OP(left, right)`. */
export function binary(
  op: string,
  [left, right]: readonly [string, string],
  to: string,
): Uint8Array {
  const declare = (name: string) => ({ name, dtype: "float32" as const, shape: ["n"] });
  return buildModel({
    inputs: [declare(left), declare(right)],
    outputs: [declare(to)],
    nodes: [{ op, inputs: [left, right], outputs: [to] }],
  });
}

/** Numbers that differ. */
export function wave(length: number, phase = 0): Tensor {
  return float32([length], Float32Array.from({ length }, (_, at) => Math.sin(at * 1.3 + phase)));
}

/** `to = OP(left, right)`, of the slow model's size. */
export function binary2d(op: string, names: readonly [string, string], to: string): Uint8Array {
  const declare = (name: string) => ({ name, dtype: "float32" as const, shape: [384, 384] });
  return buildModel({
    inputs: names.map(declare),
    outputs: [declare(to)],
    nodes: [{ op, inputs: names, outputs: [to] }],
  });
}

/** Runs a chain of slow sessions until it has a thread: from then on they run in a row there. */
export async function runUntilInRow(chain: SessionChain, feeds: TensorMap): Promise<void> {
  let isInRow = false;
  const before = (): Promise<void> => {
    isInRow = true;
    return Promise.resolve();
  };
  for (let run = 0; !isInRow && run < 500; run++) await chain.run(feeds, { before });
  assert.ok(isInRow, "no thread for chains");
}
