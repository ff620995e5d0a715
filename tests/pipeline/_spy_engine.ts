// The real engine with a watch on it: what was opened, what was run, and failures on demand.

import type {
  Engine,
  EngineSession,
  SessionSettings,
  SessionSource,
  ValueSpec,
} from "../../sessions/engine.ts";
import { NapiEngine } from "../../sessions/napi_engine.ts";
import type { TensorMap } from "../../tensor/tensor.ts";

/** One call of `open`. */
export interface Opening {
  readonly source: SessionSource;
  readonly settings: SessionSettings;
  readonly session: SpySession;
}

/** One call of `run`. */
export interface SessionRun {
  readonly session: SpySession;
  readonly feeds: TensorMap;
  readonly fetches: readonly string[] | undefined;
}

/** An engine that notes everything. */
export class SpyEngine implements Engine {
  readonly name = "napi";
  readonly opened: Opening[] = [];
  readonly runs: SessionRun[] = [];
  /** Called before each run; may throw or wait. */
  onRun: (run: SessionRun) => void | Promise<void> = () => {};
  /** Called before each opening; may throw or wait. */
  onOpen: (settings: SessionSettings) => void | Promise<void> = () => {};
  readonly #engine = new NapiEngine();

  version(): Promise<string> {
    return this.#engine.version();
  }

  /** Openings that serve runs, type probes left out. */
  get sessions(): Opening[] {
    return this.opened.filter(({ settings }) => settings.label !== "type probe");
  }

  async open(source: SessionSource, settings: SessionSettings): Promise<EngineSession> {
    await this.onOpen(settings);
    const session = new SpySession(await this.#engine.open(source, settings), this);
    this.opened.push({ source, settings, session });
    return session;
  }
}

/** A session that notes its runs. */
export class SpySession implements EngineSession {
  readonly inputs: readonly ValueSpec[];
  readonly outputs: readonly ValueSpec[];
  readonly #session: EngineSession;
  readonly #engine: SpyEngine;

  constructor(session: EngineSession, engine: SpyEngine) {
    this.inputs = session.inputs;
    this.outputs = session.outputs;
    this.#session = session;
    this.#engine = engine;
  }

  get released(): boolean {
    return this.#session.released;
  }

  async run(feeds: TensorMap, fetches?: readonly string[]): Promise<TensorMap> {
    const run = { session: this, feeds, fetches };
    this.#engine.runs.push(run);
    await this.#engine.onRun(run);
    return await this.#session.run(feeds, fetches);
  }

  release(): Promise<void> {
    return this.#session.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
