// What Hookline knows of an execution provider: its name, where it can exist, how to find out whether
// it runs here, and what may be expected of its numbers. One file beside this one describes each.

import type { Engine } from "../engine.ts";

/** An execution provider that a session can be opened on. */
export type ProviderName = "cpu" | "cuda" | "webgpu";

/** What a probe found. */
export type ProbeResult =
  | {
    /** The provider runs a model here. */
    readonly available: true;
    /** What was tried, in words. */
    readonly detail: string;
  }
  | {
    /** The provider cannot be used here. */
    readonly available: false;
    /** Why not, in words, without a trailing period. */
    readonly reason: string;
    /** One imperative line that says what to do about it. */
    readonly fix: string;
  };

/** How a provider is asked. */
export interface ProbeOptions {
  /** True when the user named the provider, so that a probe may try what could print a complaint. */
  readonly byName: boolean;
}

/** One entry of ONNX Runtime's list of execution providers. */
export type ExecutionProvider = string | {
  /** The provider's name. */
  readonly name: string;
  /** Which of several devices. */
  readonly deviceId?: number;
};

/** An execution provider. */
export interface ProviderDescriptor {
  /** The name that users write. */
  readonly name: ProviderName;
  /** `process.platform` values on which onnxruntime-node carries it. */
  readonly platforms: readonly string[];
  /**
   * What a repeated run promises: `bitwise` the same bits for the same session settings, `tolerance`
   * numbers that agree to rounding.
   */
  readonly determinism: "bitwise" | "tolerance";
  /** The list that ONNX Runtime gets: this provider alone, its own CPU fallback for operators included. */
  executionProviders(): readonly ExecutionProvider[];
  /** Finds out whether the provider runs here; never throws for "no". */
  probe(engine: Engine, options?: ProbeOptions): Promise<ProbeResult>;
}
