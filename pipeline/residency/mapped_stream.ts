// Streams weights that the operating system maps from the model's own file: each module has its session
// without prepacking, whose weights are pages of the file. They are read ahead into the system's cache
// and dropped from this process behind the module.

import { encodePart } from "../../graph/sub_model.ts";
import type {
  FileRange,
  MappedArea,
  WeightMemory,
} from "../../sessions/mapped_weights/weight_memory.ts";
import { type SegmentOpening, segmentOpening, type SessionHost } from "../segment_opening.ts";
import type { BlockWeights } from "./block_weights.ts";
import type { StreamedSegment, WeightStream } from "./weight_stream.ts";

/** What a stream of mapped weights needs. */
export interface MappedStreamOptions {
  readonly host: SessionHost;
  readonly memory: WeightMemory;
  /** The weights of each streamed module. */
  readonly weights: ReadonlyMap<string, BlockWeights>;
}

/** Weights mapped from the model's own file. */
export function mappedStream(options: MappedStreamOptions): WeightStream {
  const { host, memory, weights } = options;
  const pages = new MappedPages(memory);
  return {
    comesByItself: true,
    keepsSessions: true,
    // deno-lint-ignore require-await -- other strategies write files here
    async encode(streamed) {
      return mappedOpening(host, streamed, weights.get(streamed.module)?.hasConvolution ?? false);
    },
    opened() {
      pages.find(new Map([...weights].map(([module, { ranges }]) => [module, ranges])));
    },
    fetch: (module) => pages.fetch(module),
    release: (module) => pages.release(module),
    session: () => null,
    closed: () => pages.forget(),
  };
}

/** ONNX Runtime copies convolution weights into another order at its highest levels. */
function mappedOpening(
  host: SessionHost,
  { segment, inputs }: StreamedSegment,
  hasConvolution: boolean,
): SegmentOpening {
  const { structure, optimization } = host;
  const part = encodePart(structure.proto, structure.graph, {
    nodes: segment.nodes,
    inputs,
    outputs: segment.outputs,
  });
  const isReordered = hasConvolution && (optimization === "all" || optimization === "layout");
  return segmentOpening(host, {
    source: { kind: "bytes", bytes: part.bytes, weightFolder: structure.weightFolder },
    label: `${structure.skeleton.label}, segment ${segment.index}`,
    byteLength: part.bytes.byteLength, // its weights are the system's to keep or to drop
  }, {
    prepacking: false,
    sharesArena: true,
    ...(isReordered ? { optimization: "extended" as const } : {}),
  });
}

/** The pages of modules' weights in this process. */
export class MappedPages {
  readonly #memory: WeightMemory;
  readonly #areas = new Map<string, readonly MappedArea[]>();

  constructor(memory: WeightMemory) {
    this.#memory = memory;
  }

  /** Finds the pages of modules; their sessions are open. */
  find(ranges: ReadonlyMap<string, readonly FileRange[]>): void {
    const areas = this.#memory.areasOf([...ranges.values()]);
    [...ranges.keys()].forEach((module, index) => this.#areas.set(module, areas[index] ?? []));
  }

  /** Begins to read them; whoever touches a page before it is there waits for that page alone. */
  async fetch(module: string): Promise<void> {
    await this.#memory.fetch(this.#areas.get(module) ?? []);
  }

  /** Takes them out of this process's memory. */
  release(module: string): Promise<void> {
    this.#memory.release(this.#areas.get(module) ?? []);
    return Promise.resolve();
  }

  /** Forgets every address, because sessions are about to close and their addresses to be used anew. */
  forget(): Promise<void> {
    this.#areas.clear();
    return Promise.resolve();
  }
}
