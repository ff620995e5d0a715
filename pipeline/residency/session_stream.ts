// Streams weights by opening a session for each call of a module and closing it behind. The way for
// weights that must be prepacked to be fast and cannot be kept so on disk, 4-bit ones above all.

import { internalError } from "../../errors/hookline_error.ts";
import { encodePart } from "../../graph/sub_model.ts";
import type { EngineSession } from "../../sessions/engine.ts";
import {
  openSegment,
  type SegmentOpening,
  segmentOpening,
  type SessionHost,
} from "../segment_opening.ts";
import type { RunnableSession, WeightStream } from "./weight_stream.ts";

/** A module's segments, in the order of the plan. */
interface ModuleSegments {
  readonly openings: Map<number, SegmentOpening>;
  readonly sessions: Map<number, EngineSession>;
}

/** Sessions that come and go. */
export function sessionStream(host: SessionHost): WeightStream {
  const modules = new Map<string, ModuleSegments>();
  const moduleOf = new Map<number, ModuleSegments>();
  const close = async (own: ModuleSegments | undefined): Promise<void> => {
    const sessions = [...own?.sessions.values() ?? []];
    own?.sessions.clear();
    for (const session of sessions) await session.release();
  };
  return {
    comesByItself: false,
    keepsSessions: false,
    // deno-lint-ignore require-await -- other strategies write files here
    async encode({ segment, module, inputs }) {
      const { structure } = host;
      const { nodes, outputs } = segment;
      const part = encodePart(structure.proto, structure.graph, { nodes, inputs, outputs });
      const opening = segmentOpening(host, {
        source: { kind: "bytes", bytes: part.bytes, weightFolder: structure.weightFolder },
        label: `${structure.skeleton.label}, segment ${segment.index}`,
        byteLength: part.bytes.byteLength + part.weightByteLength,
      }, { isDeferred: true });
      const own = modules.get(module) ?? { openings: new Map(), sessions: new Map() };
      modules.set(module, own);
      moduleOf.set(segment.index, own);
      own.openings.set(segment.index, opening);
      return opening;
    },
    opened: () => {},
    async fetch(module) {
      const own = modules.get(module);
      try {
        for (const [index, opening] of own?.openings ?? []) {
          own?.sessions.set(index, await openSegment(host, opening));
        }
      } catch (error) {
        await close(own);
        throw error;
      }
    },
    release: (module) => close(modules.get(module)),
    session(segment): RunnableSession {
      const session = moduleOf.get(segment.index)?.sessions.get(segment.index);
      if (session === undefined) throw internalError(`segment ${segment.index} is not open`);
      return session;
    },
    async closed() {
      for (const own of modules.values()) await close(own);
    },
  };
}
