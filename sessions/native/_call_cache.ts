// The shapes that a session was called with lately, each with its frames: a call with shapes that came
// before finds its OrtValues made. It knows nothing of running.

import type { TensorMap } from "../../tensor/tensor.ts";
import type { ValueSpec } from "../engine.ts";
import { CallFrame } from "./_call_frame.ts";
import { type CallTensor, callTensor } from "./_call_tensor.ts";
import type { NativeHost } from "./_native_host.ts";
import { isEqual } from "./_equal_lists.ts";
import { TextList } from "./_native_text.ts";

/** Shapes whose frames are kept; the longest unused goes first. */
const KEPT_SHAPES = 8;
/** Frames that a shape keeps: as many as calls ran at the same time, up to this number. */
const KEPT_FRAMES = 4;

/** A list of outputs that were asked for together. */
export interface FetchList {
  readonly names: TextList;
  readonly count: bigint;
  /**
   * True when nothing is assumed of them: equal input shapes gave others, or one of them is an input, which
   * ONNX Runtime hands on as it is and does not write to memory that was made for it.
   */
  outputsVary: boolean;
}

/** Calls with the same input shapes and the same outputs. */
export class CallShape {
  readonly fetches: FetchList;
  /** What the last run took, in milliseconds; null before the first. */
  elapsedMs: number | null = null;
  readonly #host: NativeHost;
  readonly #given: readonly CallTensor[];
  readonly #weightCount: number;
  #results: readonly CallTensor[] | null = null;
  #idle: CallFrame[] = [];
  #isRetired = false;

  constructor(
    host: NativeHost,
    { given, weightCount, fetches }: {
      readonly given: readonly CallTensor[];
      readonly weightCount: number;
      readonly fetches: FetchList;
    },
  ) {
    this.#host = host;
    this.#given = given;
    this.#weightCount = weightCount;
    this.fetches = fetches;
  }

  /** True when the feeds, which fit the inputs, have these shapes and the fetches are these. */
  matches(feeds: TensorMap, fetches: readonly string[]): boolean {
    const { texts } = this.fetches.names;
    if (fetches !== texts && !isEqual(fetches, texts)) return false;
    const given = this.#given;
    for (let index = 0; index < given.length; index++) {
      const { name, shape } = given[index] as CallTensor;
      if (!isEqual((feeds[name] as TensorMap[string]).shape, shape)) return false;
    }
    return true;
  }

  /** A frame for one call; `guess` prepares outputs of the shapes that came out before. */
  take({ guess }: { readonly guess: boolean } = { guess: true }): CallFrame {
    const results = guess && !this.fetches.outputsVary ? this.#results : null;
    const idle = this.#idle.pop();
    if (idle !== undefined && idle.knowsOutputs === (results !== null)) return idle;
    idle?.dispose();
    return new CallFrame(this.#host, {
      given: this.#given,
      weightCount: this.#weightCount,
      fetches: this.fetches.names.texts,
      results,
    });
  }

  /** Takes a frame back whose call has ended. */
  give(frame: CallFrame): void {
    if (this.#isRetired || this.#idle.length === KEPT_FRAMES) frame.dispose();
    else this.#idle.push(frame);
  }

  /** Learns from the outputs of a call what the next one's will be like. */
  learn(outputs: TensorMap): void {
    if (this.#results !== null || this.fetches.outputsVary) return;
    this.#results = this.fetches.names.texts.map((name) => {
      return callTensor(name, outputs[name] as TensorMap[string]);
    });
  }

  /** Frees the frames; those in use are freed when they come back. */
  retire(): void {
    this.#isRetired = true;
    for (const frame of this.#idle) frame.dispose();
    this.#idle = [];
  }
}

/** The calls of one session. */
export class CallCache {
  readonly #host: NativeHost;
  readonly #inputs: readonly ValueSpec[];
  readonly #weightNames: readonly string[];
  readonly #fetchLists: FetchList[] = [];
  /** The last used first. */
  readonly #shapes: CallShape[] = [];

  /** Makes the cache of a session that takes `inputs` and behind them these weights. */
  constructor(
    host: NativeHost,
    { inputs, weightNames }: {
      readonly inputs: readonly ValueSpec[];
      readonly weightNames: readonly string[];
    },
  ) {
    this.#host = host;
    this.#inputs = inputs;
    this.#weightNames = weightNames;
  }

  /** The shape of a call; made when it did not come before. */
  find(feeds: TensorMap, fetches: readonly string[]): CallShape {
    const shapes = this.#shapes;
    for (let index = 0; index < shapes.length; index++) {
      const shape = shapes[index] as CallShape;
      if (!shape.matches(feeds, fetches)) continue;
      if (index > 0) {
        shapes.splice(index, 1);
        shapes.unshift(shape);
      }
      return shape;
    }
    const made = this.#make(feeds, fetches);
    shapes.unshift(made);
    if (shapes.length > KEPT_SHAPES) shapes.pop()?.retire();
    return made;
  }

  /** Frees everything that is not in use. */
  retire(): void {
    for (const shape of this.#shapes) shape.retire();
    this.#shapes.length = 0;
  }

  #make(feeds: TensorMap, fetches: readonly string[]): CallShape {
    const given = this.#inputs.map(({ name }) => {
      return callTensor(name, feeds[name] as TensorMap[string]);
    });
    return new CallShape(this.#host, {
      given,
      weightCount: this.#weightNames.length,
      fetches: this.#fetchList(fetches),
    });
  }

  #fetchList(names: readonly string[]): FetchList {
    const known = this.#fetchLists.find((list) => isEqual(list.names.texts, names));
    if (known !== undefined) return known;
    const inputs = [...this.#inputs.map(({ name }) => name), ...this.#weightNames];
    const made = {
      names: new TextList([...names]),
      count: BigInt(names.length),
      outputsVary: names.some((name) => inputs.includes(name)),
    };
    this.#fetchLists.push(made);
    if (this.#fetchLists.length > KEPT_SHAPES) this.#fetchLists.shift();
    return made;
  }
}
