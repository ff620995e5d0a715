// Both sides of every comparison: Hookline through its published face, and onnxruntime-node as a user
// would call it, with the very same session options. The one place to touch when that face changes.

import type { InferenceSession } from "onnxruntime-node";
import {
  float32,
  type HookHandle,
  type Model,
  ModelHook,
  openModel,
  type TensorMap,
} from "../mod.ts";
import { loadOrt } from "../sessions/ort_loader.ts";
import { NO_WEIGHT_FOLDER, ortSessionOptions } from "../sessions/session_options.ts";

/** Opens a model with Hookline, and its sessions too. */
export async function openHooked(model: string | Uint8Array, threads: number): Promise<Model> {
  const opened = await openModel(model, { provider: "cpu", optimization: "all", threads });
  await opened.prepare();
  return opened;
}

/** A plain session: run it, release it. */
export interface PlainSession extends AsyncDisposable {
  /** `session.run(feeds)`; nothing of Hookline runs in it. */
  run(): Promise<InferenceSession.OnnxValueMapType>;
}

/** Opens a model with onnxruntime-node alone, with its feeds as its own tensors, made once. */
export async function openPlain(
  model: string | Uint8Array,
  threads: number,
  feeds: TensorMap,
): Promise<PlainSession> {
  await loadOrt(); // switches telemetry off before the library loads
  const { InferenceSession, Tensor } = await import("onnxruntime-node");
  const session = await InferenceSession.create(model as string, plainOptions(model, threads));
  const tensors = Object.fromEntries(
    Object.entries(feeds).map(([name, { dtype, data, shape }]) => [
      name,
      new Tensor(dtype as "float32", data as Float32Array, [...shape]),
    ]),
  );
  return {
    run: () => session.run(tensors),
    [Symbol.asyncDispose]: () => session.release(),
  };
}

function plainOptions(
  model: string | Uint8Array,
  threads: number,
): InferenceSession.SessionOptions {
  const options = ortSessionOptions({
    provider: "cpu",
    optimization: "all",
    threads,
    prepacking: true,
    label: "plain",
  }, typeof model === "string" ? null : NO_WEIGHT_FOLDER);
  return options as unknown as InferenceSession.SessionOptions;
}

/** Both sides of one model. */
export interface Pair extends AsyncDisposable {
  /** Hookline's. */
  readonly model: Model;
  /** The peer. */
  readonly plain: PlainSession;
}

/** What to open a pair of. */
export interface PairOptions {
  /** A path, or bytes. */
  readonly model: string | Uint8Array;
  /** What both are fed. */
  readonly feeds: TensorMap;
  /** Threads of each session. */
  readonly threads: number;
}

/** Opens both sides; with an odd `opening` ours first, so that neither always gets the better memory. */
export async function openPair(opening: number, options: PairOptions): Promise<Pair> {
  const { model: source, feeds, threads } = options;
  await using stack = new AsyncDisposableStack();
  const early = opening % 2 === 1 ? stack.use(await openHooked(source, threads)) : null;
  const plain = stack.use(await openPlain(source, threads, feeds));
  const model = early ?? stack.use(await openHooked(source, threads));
  const opened = stack.move();
  return { model, plain, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** Opens and releases a plain session. */
export async function createPlain(path: string, threads: number): Promise<void> {
  await loadOrt();
  const { InferenceSession } = await import("onnxruntime-node");
  await (await InferenceSession.create(path, plainOptions(path, threads))).release();
}

/** An observer that does nothing but count. */
export class CountingObserver extends ModelHook {
  override readonly name: string;
  override readonly access = "observe";
  /** How often it was called. */
  calls = 0;

  /** Makes an observer of this name. */
  constructor(name = "count") {
    super();
    this.name = name;
  }

  override postForward(): void {
    this.calls++;
  }
}

/** An editing hook that changes nothing. */
export class IdleEditor extends ModelHook {
  override readonly name: string;
  override readonly access = "edit";

  /** Makes an editor of this name. */
  constructor(name = "idle") {
    super();
    this.name = name;
  }

  override postForward(): void {}
}

/** Registers one counting observer on each of the modules. */
export function observe(model: Model, paths: readonly string[]): HookHandle[] {
  return paths.map((path) => model.registry(path).register(new CountingObserver()));
}

/** The paths of a transformer's blocks. */
export function blockPaths(blocks: number): string[] {
  return Array.from({ length: blocks }, (_, index) => `blocks.${index}`);
}

/** An input of a transformer: `x[1, tokens, width]`, the same numbers each time. */
export function transformerFeeds(tokens: number, width: number): TensorMap {
  return {
    x: float32([1, tokens, width], Float32Array.from({ length: tokens * width }, waveAt)),
  };
}

function waveAt(_: unknown, index: number): number {
  return Math.fround(((index * 2_654_435_761) % 4_294_967_296) / 2_147_483_648 - 1);
}

/** How far two results may be apart: `verify`'s tolerance for float32. */
const TOLERANCE = 1e-5;

/**
 * Checks that both sides computed the same, since a race of different results means nothing. A plan
 * that taps or cuts may differ by rounding where that ends a fusion of ONNX Runtime's: of this
 * transformer, the last residual Add with the final LayerNormalization (SkipLayerNormalization, from
 * `extended` on; verified on ONNX Runtime 1.29). Then `exact` is false, and `verify`'s tolerance holds.
 *
 * @throws {Error} when an output is missing or differs.
 */
export function requireSame(
  ours: TensorMap,
  theirs: InferenceSession.OnnxValueMapType,
  options: { readonly what: string; readonly exact: boolean },
): void {
  const { what, exact } = options;
  for (const [name, value] of Object.entries(theirs)) {
    const found = ours[name]?.data as Float32Array | undefined;
    const wanted = (value as { data: Float32Array }).data;
    if (found?.length !== wanted.length) throw new Error(`${what}: output "${name}" is not there`);
    const limit = exact ? 0 : TOLERANCE + TOLERANCE * largest(wanted);
    const isSame = wanted.every((element, index) => {
      const own = found[index] ?? NaN;
      return Object.is(own, element) || Math.abs(own - element) <= limit;
    });
    if (!isSame) throw new Error(`${what}: output "${name}" differs from plain onnxruntime-node`);
  }
}

function largest(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
