// Reads the structure of a model and never its weights. The result is a skeleton: the same ModelProto
// in which every large tensor payload has become an external-data reference (location, offset,
// length) into the file that was read. ONNX Runtime memory-maps such references at any alignment, so
// a sub-model of a 2 GB file is some hundred bytes and no weight is ever copied.
//
// Small tensors stay inline: ONNX Runtime cannot open a model whose shape inference needs a tensor
// (the target of a Reshape, say) that lies in external data.

import { HooklineError } from "../errors/hookline_error.ts";
import type { ByteSource } from "./byte_source.ts";
import { encodeVarint, readField, readFields, type WireField } from "./wire.ts";

/** The external-data location by which a skeleton names the very file (or bytes) it was read from. */
export const SELF_LOCATION = "@self";

/** Payloads below this stay in the skeleton. */
export const INLINE_BYTE_LENGTH = 1024;

/** Integer tensors of rank 0 or 1 may feed shape inference and stay inline up to this size. */
export const INLINE_SHAPE_BYTE_LENGTH = 65_536;

const STRUCTURE_BYTE_LENGTH_MAX = 536_870_912;
/** How deep graphs may nest: the model's own graph is 1, a body in it 2. */
export const GRAPH_DEPTH_MAX = 64;

/** What {@linkcode skimModel} read. */
export interface SkimResult {
  /** The skeleton: ModelProto bytes without large payloads. */
  readonly bytes: Uint8Array;
  /** Bytes of tensor payloads that were left behind in the source. */
  readonly elidedByteLength: number;
}

interface Piece {
  readonly parts: Uint8Array[];
  byteLength: number;
  changed: boolean;
}

// Message kinds worth descending into, by the field numbers of onnx.proto (ONNX 1.20).
const ATTRIBUTE_TENSOR = 5;
type Kind = "model" | "graph" | "function" | "node" | "attribute" | "tensor";
const CHILDREN: Readonly<Record<Kind, Readonly<Record<number, Kind>>>> = {
  model: { 7: "graph", 25: "function" },
  graph: { 1: "node", 5: "tensor" },
  function: { 7: "node", 11: "attribute" },
  node: { 5: "attribute" },
  attribute: { 5: "tensor", 6: "graph", 10: "tensor", 11: "graph" },
  tensor: {},
};
const MODEL_FIELDS: Readonly<Record<number, number>> = {
  1: 0,
  2: 2,
  3: 2,
  4: 2,
  5: 0,
  6: 2,
  7: 2,
  8: 2,
  14: 2,
  20: 2,
  25: 2,
  26: 2,
};

/**
 * Skims a model.
 *
 * @throws {HooklineError} MODEL_NOT_ONNX, MODEL_TRUNCATED, MODEL_MALFORMED, MODEL_TOO_DEEP or
 * MODEL_TOO_LARGE; nothing is half-read.
 */
export function skimModel(source: ByteSource): SkimResult {
  checkMagic(source);
  const skimmer = new Skimmer(source);
  const piece = skimmer.message(0, source.byteLength, "model", 0);
  return { bytes: concatenate(piece), elidedByteLength: skimmer.elidedByteLength };
}

class Skimmer {
  elidedByteLength = 0;
  #keptByteLength = 0;

  constructor(readonly source: ByteSource) {}

  message(start: number, end: number, kind: Kind, depth: number): Piece {
    if (depth > GRAPH_DEPTH_MAX) throw tooDeepError(this.source.label);
    if (kind === "tensor") return this.#tensor(start, end);
    const children = CHILDREN[kind];
    const piece: Piece = { parts: [], byteLength: 0, changed: false };
    let verbatim = start; // everything since here is copied in one read
    const isMerged = kind === "attribute" && this.#hasTensorInPieces(start, end);
    for (const field of readFields(this.source, start, end, kind)) {
      const child = field.wireType === 2 ? children[field.fieldNumber] : undefined;
      if (child === undefined || field.end - field.payload < INLINE_BYTE_LENGTH) continue;
      if (isMerged && field.fieldNumber === ATTRIBUTE_TENSOR) continue;
      const inner = this.message(
        field.payload,
        field.end,
        child,
        child === "graph" ? depth + 1 : depth,
      );
      if (!inner.changed) continue;
      this.#keep(piece, verbatim, field.start);
      this.#nest(piece, field.fieldNumber, inner);
      verbatim = field.end;
    }
    // Nothing inside changed: leave the copy to the parent, in one piece with its neighbours.
    if (verbatim === start && kind !== "model") return piece;
    this.#keep(piece, verbatim, end);
    piece.changed = true;
    return piece;
  }

  /** A singular field may be given several times; protobuf merges them, so none can be left out. */
  #hasTensorInPieces(start: number, end: number): boolean {
    let count = 0;
    for (const field of readFields(this.source, start, end, "AttributeProto")) {
      if (field.fieldNumber === ATTRIBUTE_TENSOR) count++;
    }
    return count > 1;
  }

  #tensor(start: number, end: number): Piece {
    const facts = tensorFacts(this.source, start, end);
    const payload = facts.payload;
    const unchanged: Piece = { parts: [], byteLength: 0, changed: false };
    if (payload === null || facts.isExternal) return unchanged;
    const byteLength = payload.end - payload.payload;
    const limit = facts.mayBeShape ? INLINE_SHAPE_BYTE_LENGTH : INLINE_BYTE_LENGTH;
    if (byteLength < limit) return unchanged;
    const piece: Piece = { parts: [], byteLength: 0, changed: true };
    this.#keep(piece, start, payload.start);
    this.#keep(piece, payload.end, end);
    push(piece, externalReference(SELF_LOCATION, payload.payload, byteLength));
    this.elidedByteLength += byteLength;
    return piece;
  }

  #keep(piece: Piece, start: number, end: number): void {
    if (end > start) push(piece, this.#copy(start, end));
  }

  #copy(start: number, end: number): Uint8Array {
    this.#keptByteLength += end - start;
    if (this.#keptByteLength > STRUCTURE_BYTE_LENGTH_MAX) {
      throw new HooklineError("MODEL_TOO_LARGE", {
        message:
          `cannot read "${this.source.label}": its structure without weights is over ${STRUCTURE_BYTE_LENGTH_MAX} bytes`,
        fix: "store weights as raw_data or external data, not inside nodes or typed fields",
        details: { path: this.source.label },
      });
    }
    return this.source.read(start, end - start);
  }

  #nest(piece: Piece, fieldNumber: number, inner: Piece): void {
    push(piece, encodeVarint(fieldNumber * 8 + 2));
    push(piece, encodeVarint(inner.byteLength));
    for (const part of inner.parts) push(piece, part);
  }
}

interface TensorFacts {
  readonly isExternal: boolean;
  readonly mayBeShape: boolean;
  /** The one field whose bytes are the elements, little-endian and packed; null when there is none. */
  readonly payload: WireField | null;
}

function tensorFacts(source: ByteSource, start: number, end: number): TensorFacts {
  let dataType = 0;
  let rank = 0;
  let isExternal = false;
  let payloadCount = 0;
  let only: WireField | null = null;
  for (const field of readFields(source, start, end, "TensorProto")) {
    switch (field.fieldNumber) {
      case 1:
        rank += field.wireType === 0 ? 1 : countVarints(source, field);
        break;
      case 2:
        dataType = Number(field.varint);
        break;
      case 4:
      case 9:
      case 10:
        payloadCount++;
        only = field;
        break;
      case 13:
        isExternal = true;
        break;
      case 14:
        isExternal ||= field.varint === 1n;
        break;
      default:
        break;
    }
  }
  // float_data and double_data, packed, hold the very bytes of raw_data for their own type (and only
  // then: float_data also stores complex64, double_data complex128).
  const isRaw = payloadCount === 1 && only !== null && only.wireType === 2 &&
    (only.fieldNumber === 9 || (only.fieldNumber === 4 && dataType === 1) ||
      (only.fieldNumber === 10 && dataType === 11));
  const isString = dataType === 8;
  return {
    isExternal,
    mayBeShape: rank <= 1 && (dataType === 6 || dataType === 7),
    payload: isRaw && !isString ? only : null,
  };
}

/** How many varints a packed field holds; two are as good as many. */
function countVarints(source: ByteSource, field: WireField): number {
  let count = 0;
  for (let offset = field.payload; offset < field.end && count < 2; offset++) {
    if (source.byteAt(offset) < 0x80) count++;
  }
  return count;
}

/** The `data_location` and `external_data` fields of a TensorProto, encoded. */
export function externalReference(
  location: string,
  byteOffset: number,
  byteLength: number,
): Uint8Array {
  const piece: Piece = { parts: [], byteLength: 0, changed: true };
  const entries: readonly (readonly [string, string])[] = [
    ["location", location],
    ["offset", String(byteOffset)],
    ["length", String(byteLength)],
  ];
  const text = new TextEncoder();
  for (const [key, value] of entries) {
    const keyBytes = text.encode(key);
    const valueBytes = text.encode(value);
    const body = [
      Uint8Array.of(0x0a),
      encodeVarint(keyBytes.length),
      keyBytes,
      Uint8Array.of(0x12),
      encodeVarint(valueBytes.length),
      valueBytes,
    ];
    push(piece, Uint8Array.of(0x6a)); // field 13, length-delimited
    push(piece, encodeVarint(body.reduce((sum, part) => sum + part.length, 0)));
    for (const part of body) push(piece, part);
  }
  push(piece, Uint8Array.of(0x70, 0x01)); // data_location = EXTERNAL
  return concatenate(piece);
}

function push(piece: Piece, part: Uint8Array): void {
  piece.parts.push(part);
  piece.byteLength += part.byteLength;
}

function concatenate(piece: Piece): Uint8Array {
  const out = new Uint8Array(piece.byteLength);
  let offset = 0;
  for (const part of piece.parts) {
    out.set(part, offset);
    offset += part.byteLength;
  }
  return out;
}

/** The error for graphs within graphs without end. */
export function tooDeepError(label: string): HooklineError {
  return new HooklineError("MODEL_TOO_DEEP", {
    message: `cannot read "${label}": its graphs nest more than ${GRAPH_DEPTH_MAX} deep`,
    fix: "flatten the control flow of the model",
    details: { path: label },
  });
}

const OTHER_FORMATS: readonly {
  readonly offset: number;
  readonly text: string;
  readonly what: string;
}[] = [
  { offset: 4, text: "ORTM", what: "an ONNX Runtime flatbuffer (.ort)" },
  { offset: 4, text: "TFL3", what: "a TensorFlow Lite flatbuffer" },
  { offset: 0, text: "PK\x03\x04", what: "a zip archive (a PyTorch checkpoint, say)" },
  { offset: 0, text: "\x1f\x8b", what: "gzip data" },
  { offset: 0, text: "\x89HDF", what: "an HDF5 file" },
  { offset: 0, text: "GGUF", what: "a GGUF file" },
  { offset: 0, text: "\x93NUMPY", what: "a NumPy array" },
  { offset: 0, text: "version https://git-lfs", what: "a Git LFS pointer, not the file itself" },
  { offset: 0, text: "<", what: "text (HTML or XML)" },
  { offset: 0, text: "{", what: "text (JSON)" },
];

function checkMagic(source: ByteSource): void {
  const head = source.read(0, Math.min(32, source.byteLength));
  // `ir_version`, then `producer_name`: a name that starts with "ORTM" is no magic number.
  const startsAsModel = head[0] === 0x08 && head[2] === 0x12;
  const found = OTHER_FORMATS.find((format) =>
    !(startsAsModel && format.offset > 0) &&
    [...format.text].every((letter, index) => head[format.offset + index] === letter.charCodeAt(0))
  );
  if (found !== undefined) throw notOnnx(source, found.what);
  if (source.byteLength === 0) throw notOnnx(source, "an empty file");
  let first: WireField;
  try {
    first = readField(source, 0, source.byteLength, "ModelProto");
  } catch (cause) {
    if (source.byteLength > 16 && (head[0] ?? 0) !== 0x08) {
      throw notOnnx(source, "bytes that are no ModelProto", cause);
    }
    throw cause;
  }
  if (MODEL_FIELDS[first.fieldNumber] !== first.wireType) {
    throw notOnnx(
      source,
      `bytes that start with field ${first.fieldNumber}, which no ModelProto has`,
    );
  }
}

function notOnnx(source: ByteSource, what: string, cause?: unknown): HooklineError {
  return new HooklineError("MODEL_NOT_ONNX", {
    message: `cannot read "${source.label}": found ${what}, wanted an ONNX ModelProto`,
    fix: "give the .onnx file itself",
    details: { path: source.label },
    cause,
  });
}
