// The hooks of a trace: one observer on every traced module, and one on the model itself that marks where
// a call begins and ends. They turn tensors into records and hand them on; what becomes of a record is
// the recorder's. They hold no tensor beyond their own call.

import { type ForwardCall, ModelHook, type TensorMap } from "../../mod.ts";
import type { LabelledTensor } from "./labels.ts";
import type { TraceRecorder } from "./trace_recorder.ts";

/** What one traced module is to the hooks: its labels, one list for each of its calls. */
export interface TracedTensors {
  readonly inputs: readonly (readonly LabelledTensor[])[];
  readonly outputs: readonly (readonly LabelledTensor[])[];
}

/** Records a module's outputs. */
export class OutputTraceHook extends ModelHook {
  override readonly name: string;
  protected readonly recorder: TraceRecorder;
  protected readonly tensors: TracedTensors;

  constructor(recorder: TraceRecorder, tensors: TracedTensors) {
    super();
    this.name = recorder.settings.name;
    this.recorder = recorder;
    this.tensors = tensors;
  }

  override postForward(call: ForwardCall, outputs: TensorMap): void {
    const labelled = this.tensors.outputs[call.callIndex] ?? [];
    this.recorder.record(call, { labelled, names: call.outputNames, values: outputs });
  }
}

/** Records a module's inputs and outputs: a class of its own, because a hook that has `preForward` costs taps. */
export class InputTraceHook extends OutputTraceHook {
  override readonly readsInputs = true;

  override preForward(call: ForwardCall, inputs: TensorMap): void {
    const labelled = this.tensors.inputs[call.callIndex] ?? [];
    this.recorder.record(call, { labelled, names: call.inputNames, values: inputs });
  }
}

/** Tells the recorder when a call of the model begins, when it has ended, and when it failed. */
export class CallTraceHook extends ModelHook {
  override readonly name: string;
  /** The model's inputs are not looked at, so that they need not be fetched. */
  override readonly readsInputs = false;
  readonly #recorder: TraceRecorder;

  constructor(recorder: TraceRecorder) {
    super();
    this.name = recorder.settings.name;
    this.#recorder = recorder;
  }

  override preForward(call: ForwardCall): Promise<void> | undefined {
    return this.#recorder.begin(call);
  }

  override postForward(call: ForwardCall): void {
    this.#recorder.end(call);
  }

  /** What was complete when the call failed is written: it may say why. */
  override onUnwind(call: ForwardCall): void {
    this.#recorder.end(call);
  }

  /** The last thing that happens to a trace: no call holds it any more. */
  override onDetach(): void {
    this.#recorder.close();
  }
}
