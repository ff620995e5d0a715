// Streams weights as inputs: equal modules share one session, which is fed the weights of the module that
// runs. Works on every engine, provider and runtime; weights are read into buffers ahead of use.

import type { EngineSession } from "../../sessions/engine.ts";
import type { FileRange } from "../../sessions/mapped_weights/weight_memory.ts";
import { decodeTensorProto } from "../../graph/tensor_proto.ts";
import { internalError } from "../../errors/hookline_error.ts";
import { elementCount, type Tensor, type TensorMap } from "../../tensor/tensor.ts";
import type { SegmentStep } from "../plan.ts";
import { segmentOpening, type SessionHost } from "../segment_opening.ts";
import { rangeOf } from "./block_weights.ts";
import { encodeStreamedPart, type FedWeight, type StreamedPart } from "./streamed_part.ts";
import { viewOf } from "./tensor_view.ts";
import { type ReadRange, WeightReader } from "./weight_reader.ts";
import type { RunnableSession, WeightStream } from "./weight_stream.ts";

/** A weight in a file. */
interface FileWeight {
  readonly weight: FedWeight;
  readonly range: FileRange;
}

/** A segment of a streamed module. */
interface FedSegment {
  readonly part: StreamedPart;
  /** Weights that are small enough to stay. */
  readonly kept: Readonly<Record<string, Tensor>>;
  readonly files: readonly FileWeight[];
  /** Those in files, while the module's weights are in memory. */
  readonly fed: Record<string, Tensor>;
}

/** Weights as inputs, read from their files. */
export function inputStream(host: SessionHost): WeightStream {
  const reader = new WeightReader();
  const segments = new Map<number, FedSegment>();
  const byModule = new Map<string, FedSegment[]>();
  let sessions: readonly (EngineSession | null)[] = [];
  return {
    comesByItself: false,
    // deno-lint-ignore require-await -- other strategies write files here
    async encode({ segment, module, inputs }) {
      const { structure } = host;
      const { nodes, outputs } = segment;
      const part = encodeStreamedPart(structure, { nodes, inputs, outputs });
      const fed = fedSegment(host, part);
      segments.set(segment.index, fed);
      byModule.set(module, [...byModule.get(module) ?? [], fed]);
      return segmentOpening(host, {
        source: { kind: "bytes", bytes: part.bytes, weightFolder: structure.weightFolder },
        label: `${structure.skeleton.label}, segments with streamed weights`,
        byteLength: part.bytes.byteLength,
      }, { isRenamed: true, sharesArena: true });
    },
    opened: (open) => void (sessions = open),
    async fetch(module) {
      host.structure.requireUnchanged();
      const own = byModule.get(module) ?? [];
      const weights = own.flatMap(({ files }) => files);
      const places = await reader.fetch(module, weights.map(({ range }) => range));
      let index = 0;
      for (const { files, fed } of own) {
        for (const { weight } of files) fed[weight.name] = tensorAt(weight, places[index++]);
      }
    },
    // deno-lint-ignore require-await -- others wait for sessions to close
    async release(module) {
      for (const { fed } of byModule.get(module) ?? []) {
        for (const name of Object.keys(fed)) delete fed[name];
      }
      reader.release(module);
    },
    session(segment) {
      const fed = segments.get(segment.index);
      const session = sessions[segment.index];
      return fed === undefined || session == null ? null : feeding(segment, session, fed);
    },
    closed: () => reader.close(),
  };
}

function fedSegment(host: SessionHost, part: StreamedPart): FedSegment {
  const kept: Record<string, Tensor> = {};
  const files: FileWeight[] = [];
  for (const weight of part.weights) {
    const range = rangeOf(host.structure, weight.tensor);
    if (range === null) kept[weight.name] = decodeTensorProto(weight.tensor);
    else files.push({ weight, range });
  }
  return { part, kept, files, fed: {} };
}

/** Runs a session under the names of the model, with the weights that are in memory. */
function feeding(segment: SegmentStep, session: EngineSession, own: FedSegment): RunnableSession {
  const { inputNames, outputNames } = own.part;
  return {
    async run(feeds, fetches = segment.outputs, options = {}) {
      const given: Record<string, Tensor> = { ...own.kept, ...own.fed };
      for (const [name, tensor] of Object.entries(feeds)) given[known(inputNames, name)] = tensor;
      const wanted = fetches.map((name) => known(outputNames, name));
      const made = await session.run(given, wanted, options);
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

function tensorAt({ dtype, shape }: FedWeight, place: ReadRange | undefined): Tensor {
  if (place === undefined) throw internalError("a weight was not read");
  return { dtype, shape, data: viewOf(dtype, place, elementCount(shape)) };
}
