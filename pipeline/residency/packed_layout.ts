// Where prepacked weights lie in the file that ONNX Runtime wrote: each behind the weight that it was made
// of. A run reads the packed ones, and weights without such a form. They are better off next to one another:
// what lies between is read along otherwise, 1.9 GB instead of 1.0 of 24 blocks, in three times the time. The
// model beside the file says where each lies, and is changed with it. Pure.
//
// Source of the form: ONNX Runtime 1.29, `ExternalDataInfo`. The external data of a weight has the entries
// "offset" and "length", and for each packed form "prepacked_N": KEY, then "|OFFSET;LENGTH;CHECKSUM" for each
// of its buffers.

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, type StringStringEntryProto } from "onnx-buf";
import { walkTensors } from "../../graph/walk_tensors.ts";
import type { FilePiece } from "./large_writes.ts";

/** ONNX Runtime maps from such places. */
const PAGE_BYTES = 4096;
/** Large pages of the system's cache begin at such places. */
const LARGE_PAGE_BYTES = 2 ** 21;

/** A data file laid out anew. */
export interface PackedLayout {
  /** The model that says where everything lies. */
  readonly model: Uint8Array;
  /** What goes where, in the order of the new places. */
  readonly pieces: readonly FilePiece[];
}

/** A stretch that the model names, and how it is told of a new place. */
interface NamedStretch {
  readonly byteOffset: number;
  readonly byteLength: number;
  move(byteOffset: number): void;
}

/** The layout of a model's data file with what runs read behind all else; null for a form that is not known. */
export function packedLast(bytes: Uint8Array): PackedLayout | null {
  const model = fromBinary(ModelProtoSchema, bytes);
  const [unread, read]: [NamedStretch[], NamedStretch[]] = [[], []];
  for (const { externalData: entries } of walkTensors(model)) {
    if (entries.length === 0) continue;
    const own = stretchOf(entries);
    if (own === null) return null;
    const forms = entries.filter(({ key }) => key.startsWith("prepacked_"));
    (forms.length > 0 ? unread : read).push(own);
    for (const entry of forms) {
      const found = packedStretches(entry);
      if (found === null) return null;
      read.push(...found);
    }
  }
  const pieces: FilePiece[] = [];
  let end = 0;
  const place = (stretches: NamedStretch[], alignment: number): void => {
    end = Math.ceil(end / alignment) * alignment;
    for (const { byteOffset, byteLength, move } of stretches.sort(byPlace)) {
      end = Math.ceil(end / PAGE_BYTES) * PAGE_BYTES;
      pieces.push({ from: byteOffset, to: end, byteLength });
      move(end);
      end += byteLength;
    }
  };
  place(unread, PAGE_BYTES);
  place(read, LARGE_PAGE_BYTES);
  return { model: toBinary(ModelProtoSchema, model), pieces };
}

function stretchOf(entries: StringStringEntryProto[]): NamedStretch | null {
  const offset = entries.find(({ key }) => key === "offset");
  const byteLength = Number(entries.find(({ key }) => key === "length")?.value ?? NaN);
  const byteOffset = Number(offset?.value ?? NaN);
  if (offset === undefined || !isStretch(byteOffset, byteLength)) return null;
  return { byteOffset, byteLength, move: (to) => void (offset.value = String(to)) };
}

/** Its buffers; each `move` writes the entry anew. */
function packedStretches(entry: StringStringEntryProto): NamedStretch[] | null {
  const [key, ...parts] = entry.value.split("|");
  const buffers = parts.map((part) => part.split(";"));
  if (parts.length === 0) return null;
  const stretches = buffers.map((buffer): NamedStretch => ({
    byteOffset: Number(buffer[0]),
    byteLength: Number(buffer[1]),
    move: (to) => {
      buffer[0] = String(to);
      entry.value = [key, ...buffers.map((each) => each.join(";"))].join("|");
    },
  }));
  const isKnown = buffers.every(({ length }) => length === 3) &&
    stretches.every(({ byteOffset, byteLength }) => isStretch(byteOffset, byteLength));
  return isKnown ? stretches : null;
}

function isStretch(byteOffset: number, byteLength: number): boolean {
  return Number.isSafeInteger(byteOffset) && byteOffset >= 0 &&
    Number.isSafeInteger(byteLength) && byteLength >= 0;
}

function byPlace(left: NamedStretch, right: NamedStretch): number {
  return left.byteOffset - right.byteOffset;
}
