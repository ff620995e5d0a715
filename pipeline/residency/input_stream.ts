// Streams weights as inputs: equal modules share one session, which is fed the weights of the module that
// runs. Works on every engine, provider and runtime. Where the engine can, weights are pages of their files;
// elsewhere they are read into buffers ahead of use.

import { decodeTensorProto } from "../../graph/tensor_proto.ts";
import { internalError } from "../../errors/hookline_error.ts";
import type { EngineSession, FileWeight } from "../../sessions/engine.ts";
import type { WeightMemory } from "../../sessions/mapped_weights/weight_memory.ts";
import type { Tensor, TensorMap } from "../../tensor/tensor.ts";
import type { SegmentStep } from "../plan.ts";
import { segmentOpening, type SessionHost } from "../segment_opening.ts";
import { rangeOf } from "./block_weights.ts";
import { mappedInputs } from "./mapped_inputs.ts";
import { readInputs } from "./read_inputs.ts";
import { encodeStreamedPart, type StreamedPart } from "./streamed_part.ts";
import type { RunnableSession, WeightStream } from "./weight_stream.ts";

/** A segment of a streamed module. */
export interface FedSegment {
  /** The streamed module's path. */
  readonly module: string;
  readonly part: StreamedPart;
  /** Weights that are small enough to stay. */
  readonly kept: Readonly<Record<string, Tensor>>;
  /** Those that come and go. */
  readonly files: readonly FileWeight[];
}

/** A segment with its session. */
export interface OpenSegment {
  readonly fed: FedSegment;
  readonly session: EngineSession;
}

/** How weights in files reach the sessions that are fed them. */
export interface InputSupply {
  /** Brings a module's weights near; resolves when its segments can run. */
  fetch(module: string): Promise<void>;
  /** Lets go of them; no run uses them now. */
  release(module: string): Promise<void>;
  /** Runs a segment's session with the weights of its module, under the names of the part. */
  run(open: OpenSegment, ...call: Parameters<EngineSession["run"]>): Promise<TensorMap>;
  /** Frees everything. */
  close(): Promise<void>;
}

/** Weights as inputs. */
export function inputStream(host: SessionHost, memory: WeightMemory): WeightStream {
  const segments = new Map<number, FedSegment>();
  let sessions: readonly (EngineSession | null)[] = [];
  let supply: InputSupply | null = null;
  return {
    comesByItself: false,
    keepsSessions: true,
    // deno-lint-ignore require-await -- other strategies write files here
    async encode({ segment, module, inputs }) {
      const { structure } = host;
      const { nodes, outputs } = segment;
      const part = encodeStreamedPart(structure, { nodes, inputs, outputs });
      segments.set(segment.index, fedSegment(host, { module, part }));
      return segmentOpening(host, {
        source: { kind: "bytes", bytes: part.bytes, weightFolder: structure.weightFolder },
        label: `${structure.skeleton.label}, segments with streamed weights`,
        byteLength: part.bytes.byteLength,
      }, { isRenamed: true, sharesArena: true });
    },
    opened(open) {
      sessions = open;
      const opened = [...segments].flatMap(([index, fed]): OpenSegment[] => {
        const session = open[index] ?? null;
        return session === null ? [] : [{ fed, session }];
      });
      supply = mappedInputs({ host, memory }, opened) ?? readInputs(opened.map(({ fed }) => fed));
    },
    async fetch(module) {
      host.structure.requireUnchanged(); // mapped pages of a file that was shortened end the process
      await supply?.fetch(module);
    },
    async release(module) {
      await supply?.release(module);
    },
    session(segment) {
      const fed = segments.get(segment.index);
      const session = sessions[segment.index] ?? null;
      if (fed === undefined || session === null || supply === null) return null;
      return feeding(segment, { fed, session }, supply);
    },
    async closed() {
      const closing = supply;
      supply = null;
      await closing?.close();
    },
  };
}

function fedSegment(
  { structure }: SessionHost,
  { module, part }: Pick<FedSegment, "module" | "part">,
): FedSegment {
  const kept: Record<string, Tensor> = {};
  const files: FileWeight[] = [];
  for (const { name, dtype, shape, tensor } of part.weights) {
    const range = rangeOf(structure, tensor);
    if (range === null) kept[name] = decodeTensorProto(tensor);
    else files.push({ name, dtype, shape, range });
  }
  return { module, part, kept, files };
}

/** Runs a session under the names of the model, with the weights that are in memory. */
function feeding(segment: SegmentStep, open: OpenSegment, supply: InputSupply): RunnableSession {
  const { kept, part: { inputNames, outputNames } } = open.fed;
  return {
    async run(feeds, fetches = segment.outputs, options = {}) {
      const given: Record<string, Tensor> = { ...kept };
      for (const [name, tensor] of Object.entries(feeds)) given[known(inputNames, name)] = tensor;
      const wanted = fetches.map((name) => known(outputNames, name));
      const made = await supply.run(open, given, wanted, options);
      const outputs: Record<string, Tensor> = {};
      for (const name of fetches) outputs[name] = made[known(outputNames, name)] as Tensor;
      return outputs satisfies TensorMap;
    },
  };
}

function known(names: ReadonlyMap<string, string>, name: string): string {
  return names.get(name) ?? missing(name);
}

function missing(name: string): never {
  throw internalError(`a streamed part has no value "${name}"`);
}
