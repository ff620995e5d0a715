// Streams weights to a device: equal modules share one session, and the weights of the next ones are copied
// to the device while one computes. What they are copied from is read from files ahead of that, or stays in
// the process's memory. Activations stay on the device.
//
// Invariant: values on the device hold the weights of one module at a time, and none is left after a run.

import { internalError } from "../../errors/hookline_error.ts";
import { decodeTensorProto } from "../../graph/tensor_proto.ts";
import type { DeviceTensor, RunValue, RunValueMap } from "../../sessions/device_tensor.ts";
import type { DeviceUploads } from "../../sessions/device_uploads.ts";
import type { DeviceRun, EngineSession } from "../../sessions/engine.ts";
import { dtypeInfo, storedByteLength } from "../../tensor/dtype.ts";
import { elementCount, emptyTensorMap, type TensorMap } from "../../tensor/tensor.ts";
import type { SegmentStep } from "../plan.ts";
import { type SegmentOpening, segmentOpening, type SessionHost } from "../segment_opening.ts";
import { rangeOf } from "./block_weights.ts";
import { HostTier, type StagedWeights } from "./host_tier.ts";
import { type RangeRead, RangeReader } from "./range_reader.ts";
import { encodeStreamedPart, type FedWeight, type StreamedPart } from "./streamed_part.ts";
import type { RunnableSession, StreamedSegment, WeightStream } from "./weight_stream.ts";

/** Copies to devices begin at such places. */
const ALIGNMENT = 256;

/** A segment of a streamed module. */
interface UploadedSegment {
  readonly index: number;
  readonly module: string;
  readonly part: StreamedPart;
  /** Where each weight begins in the memory that it is copied from. */
  readonly places: readonly number[];
  readonly byteLength: number;
  /** Once the session is open. */
  staged: StagedWeights | null;
  /** The weights on the device, while the module has them there. */
  onDevice: readonly DeviceTensor[] | null;
}

/** Weights copied to a device. */
export class DeviceStream implements WeightStream {
  readonly comesByItself = false;
  readonly keepsSessions = true;
  readonly #host: SessionHost;
  readonly #staying: ReadonlySet<string>;
  readonly #segments = new Map<number, UploadedSegment>();
  readonly #tier = new HostTier();
  readonly #reader = new RangeReader();
  /** Values on the device that no module has now, by the copies that made them. */
  readonly #idle = new Map<DeviceUploads, (readonly DeviceTensor[])[]>();
  /** Modules whose weights are on the device, or on their way. */
  readonly #present = new Set<string>();
  #sessions: readonly (EngineSession | null)[] = [];

  /** `staying` names the modules whose weights stay in the process's memory. */
  constructor(host: SessionHost, staying: ReadonlySet<string>) {
    this.#host = host;
    this.#staying = staying;
  }

  // deno-lint-ignore require-await -- other strategies write files here
  async encode({ segment, module, inputs }: StreamedSegment): Promise<SegmentOpening> {
    const { structure } = this.#host;
    const { index, nodes, outputs } = segment;
    const part = encodeStreamedPart(structure, { nodes, inputs, outputs });
    const places: number[] = [];
    let byteLength = 0;
    for (const weight of part.weights) {
      places.push(byteLength);
      byteLength += Math.ceil(storedByteLengthOf(weight) / ALIGNMENT) * ALIGNMENT;
    }
    this.#segments.set(index, {
      index,
      module,
      part,
      places,
      byteLength,
      staged: null,
      onDevice: null,
    });
    return segmentOpening(this.#host, {
      source: { kind: "bytes", bytes: part.bytes, weightFolder: structure.weightFolder },
      label: `${structure.skeleton.label}, segments with streamed weights`,
      byteLength: part.bytes.byteLength,
    }, { isRenamed: true });
  }

  opened(sessions: readonly (EngineSession | null)[]): void {
    this.#sessions = sessions;
    for (const segment of this.#segments.values()) segment.staged = this.#stagedOf(segment);
  }

  async fetch(module: string): Promise<void> {
    this.#host.structure.requireUnchanged();
    this.#present.add(module);
    try {
      for (const segment of this.#segmentsOf(module)) await this.#upload(segment);
    } catch (error) {
      await this.release(module);
      throw error;
    }
  }

  // deno-lint-ignore require-await -- others wait for sessions to close
  async release(module: string): Promise<void> {
    for (const segment of this.#segmentsOf(module)) {
      const { onDevice, staged } = segment;
      segment.onDevice = null;
      if (onDevice !== null && staged !== null) this.#idleOf(staged.uploads).push(onDevice);
    }
    this.#present.delete(module);
    if (this.#present.size === 0) this.#free();
  }

  session(step: SegmentStep): RunnableSession | null {
    const segment = this.#segments.get(step.index);
    const session = this.#sessions[step.index];
    const runOnDevice = session?.runOnDevice;
    if (segment === undefined || runOnDevice === undefined) return null;
    const run = runningUnderNames(runOnDevice, segment);
    return {
      run: (feeds, fetches = step.outputs, options = {}) =>
        run(feeds, fetches, { ...options, keep: [] }) as Promise<TensorMap>,
      runOnDevice: run,
    };
  }

  async closed(): Promise<void> {
    this.#free();
    this.#tier.close();
    await this.#reader.close();
  }

  #segmentsOf(module: string): readonly UploadedSegment[] {
    return [...this.#segments.values()].filter((segment) => segment.module === module);
  }

  /** Null where there is nothing to copy. */
  #stagedOf({ index, module, part, places, byteLength }: UploadedSegment): StagedWeights | null {
    const uploads = this.#sessions[index]?.uploads ?? null;
    if (part.weights.length === 0) return null;
    if (uploads === null) throw internalError(`segment ${index} has no copies to its device`);
    return {
      uploads,
      byteLength,
      stays: this.#staying.has(module),
      fill: async (bytes) => {
        const reads: RangeRead[] = [];
        for (const [at, weight] of part.weights.entries()) {
          const place = places[at] as number;
          const into = bytes.subarray(place, place + storedByteLengthOf(weight));
          const range = rangeOf(this.#host.structure, weight.tensor);
          if (range === null) into.set(bytesOf(weight));
          else reads.push({ range, into });
        }
        await this.#reader.read(reads);
      },
    };
  }

  async #upload(segment: UploadedSegment): Promise<void> {
    const { staged, places, part } = segment;
    if (staged === null) return;
    const stage = await this.#tier.take(staged);
    try {
      const values = this.#idleOf(staged.uploads).pop() ??
        await staged.uploads.allocate(part.weights);
      segment.onDevice = values; // from now on it is the module's to give back
      await staged.uploads.copy(
        stage,
        values.map((to, at) => ({ byteOffset: places[at] as number, to })),
      );
    } finally {
      this.#tier.give(staged);
    }
  }

  #idleOf(uploads: DeviceUploads): (readonly DeviceTensor[])[] {
    const known = this.#idle.get(uploads) ?? [];
    this.#idle.set(uploads, known);
    return known;
  }

  #free(): void {
    for (const sets of this.#idle.values()) {
      for (const value of sets.flat()) value.release();
    }
    this.#idle.clear();
  }
}

/** Runs a session under the names of the model, with the weights that are on the device. */
function runningUnderNames(run: DeviceRun, segment: UploadedSegment): DeviceRun {
  const { inputNames, outputNames, weights } = segment.part;
  const inputOf = (name: string): string => inputNames.get(name) ?? missing(name);
  const outputOf = (name: string): string => outputNames.get(name) ?? missing(name);
  return async (feeds, fetches, { keep, signal }) => {
    const values: Record<string, RunValue> = emptyTensorMap();
    for (const [at, { name }] of weights.entries()) {
      values[name] = segment.onDevice?.[at] ?? missing(name);
    }
    for (const [name, value] of Object.entries(feeds)) values[inputOf(name)] = value;
    const made = await run(values, fetches.map(outputOf), { keep: keep.map(outputOf), signal });
    const outputs: Record<string, RunValue> = emptyTensorMap();
    for (const name of fetches) outputs[name] = made[outputOf(name)] as RunValue;
    return outputs satisfies RunValueMap;
  };
}

function missing(name: string): never {
  throw internalError(`a streamed part has no value "${name}"`);
}

/** Bytes of a weight that is part of the structure. */
function bytesOf({ tensor }: FedWeight): Uint8Array {
  const { data } = decodeTensorProto(tensor);
  if (!ArrayBuffer.isView(data)) throw internalError("a weight is made of text");
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function storedByteLengthOf({ dtype, shape }: FedWeight): number {
  const info = dtypeInfo(dtype);
  if (info === undefined) throw internalError(`a weight has the unknown type ${dtype}`);
  return storedByteLength(info, elementCount(shape));
}
