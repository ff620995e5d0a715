// The types of values at cuts, read from ONNX Runtime itself: a probing session of the whole model with
// those values as outputs tells what it inferred. No shape inference is written here. The probe uses no
// prepacking and no optimization, so it costs milliseconds and copies no weight.

import { HooklineError } from "../errors/hookline_error.ts";
import type { ValueType } from "../graph/sub_model.ts";
import type { Engine, EngineSession, SessionSettings, ValueSpec } from "../sessions/engine.ts";
import type { ModelStructure } from "./model_structure.ts";

const PROBE: SessionSettings = {
  provider: "cpu",
  optimization: "disabled",
  threads: 1,
  prepacking: false,
  label: "type probe",
};

/** Looks types up once and keeps them. */
export class ValueTypes {
  readonly #known = new Map<string, ValueType | null>();
  readonly #structure: ModelStructure;
  readonly #engine: Engine;
  /** True when ONNX Runtime refuses the model without the sizes that the file declares inside itself. */
  #needsDeclared = false;

  constructor(structure: ModelStructure, engine: Engine) {
    this.#structure = structure;
    this.#engine = engine;
    for (const spec of structure.inputs) this.#known.set(spec.name, typeOf(spec));
  }

  /**
   * The types of values that cross a cut. Where memory is short, a probe without weights is tried first:
   * mapping all of them may be more than the process is allowed.
   *
   * @throws {HooklineError} PLAN_VALUE_TYPE when one is a sequence, an optional, or of an element type
   * that cannot leave ONNX Runtime; SESSION_CREATE when ONNX Runtime refuses the model itself.
   */
  async require(
    values: readonly string[],
    { isMemoryShort = false }: { readonly isMemoryShort?: boolean } = {},
  ): Promise<ReadonlyMap<string, ValueType>> {
    if (isMemoryShort) await this.#probeWithoutWeights(values);
    await this.#probe(values.filter((value) => !this.#known.has(value)));
    const found = new Map<string, ValueType>();
    const impossible: string[] = [];
    for (const value of values) {
      const type = this.#known.get(value);
      if (type === null || type === undefined) impossible.push(value);
      else found.set(value, type);
    }
    if (impossible.length > 0) throw cannotCross(impossible);
    return found;
  }

  async #probe(values: readonly string[]): Promise<void> {
    if (values.length === 0) return;
    let session: EngineSession;
    try {
      session = await this.#open(values);
    } catch (error) {
      await this.#probeOneByOne(values, error);
      return;
    }
    try {
      this.#learn(session, values);
    } finally {
      await session.release();
    }
  }

  async #probeWithoutWeights(values: readonly string[]): Promise<void> {
    const unknown = values.filter((value) => !this.#known.has(value));
    if (unknown.length === 0) return;
    this.#structure.requireUnchanged();
    const source = this.#structure.weightlessProbeSource(unknown);
    const session = await this.#engine.open(source, PROBE).catch(() => null);
    if (session === null) return; // an operator wants constants: the other probe has them
    try {
      this.#learn(session, unknown);
    } finally {
      await session.release();
    }
  }

  /** One value of a type that the engine cannot carry makes the whole probe fail: find out which. */
  async #probeOneByOne(values: readonly string[], cause: unknown): Promise<void> {
    const plain = await this.#open([]).catch(() => null);
    if (plain === null) {
      if (this.#needsDeclared) throw cause; // the model itself is refused
      this.#needsDeclared = true;
      return await this.#probe(values);
    }
    await plain.release();
    if (values.length === 1) {
      this.#known.set(values[0] as string, null);
      return;
    }
    const middle = values.length >> 1;
    await this.#probe(values.slice(0, middle));
    await this.#probe(values.slice(middle));
  }

  async #open(values: readonly string[]): Promise<EngineSession> {
    this.#structure.requireUnchanged();
    const source = this.#needsDeclared
      ? this.#structure.tappedSource(values)
      : this.#structure.probeSource(values);
    return await this.#engine.open(source, PROBE);
  }

  #learn(session: EngineSession, values: readonly string[]): void {
    const specs = new Map(session.outputs.map((spec) => [spec.name, spec]));
    for (const value of values) {
      const spec = specs.get(value);
      this.#known.set(value, spec === undefined ? null : typeOf(spec));
    }
  }
}

function typeOf(spec: ValueSpec): ValueType | null {
  return spec.isTensor && spec.dtype !== null ? { dtype: spec.dtype, shape: spec.shape } : null;
}

/** The error for values that no engine can hand over. */
export function cannotCross(values: readonly string[]): HooklineError {
  return new HooklineError("PLAN_VALUE_TYPE", {
    message: `cannot cut or tap at ${
      values.slice(0, 3).map((value) => `"${value}"`).join(", ")
    }: only tensors of types that JavaScript can hold leave ONNX Runtime`,
    fix: "hook a module whose inputs and outputs are plain tensors",
    details: { values: [...values] },
  });
}
