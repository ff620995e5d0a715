// The protobuf wire format, read without decoding: which fields a message has and where their bytes
// lie. It knows no message type. Every length is checked against the enclosing message before it is
// believed, so a damaged file ends in a coded error and never in a huge allocation.
//
// Source: Protocol Buffers encoding, https://protobuf.dev/programming-guides/encoding (proto2/3).

import { HooklineError } from "../errors/hookline_error.ts";
import type { ByteSource } from "./byte_source.ts";

/** One field of a message: where its tag starts, where its payload lies. */
export interface WireField {
  readonly fieldNumber: number;
  /** 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. */
  readonly wireType: number;
  /** Offset of the first tag byte. */
  readonly start: number;
  /** Offset of the payload (after tag and length). */
  readonly payload: number;
  /** Offset after the payload. */
  readonly end: number;
  /** The value of a varint field, else 0n. */
  readonly varint: bigint;
}

/** The error for a field that runs past its message. */
export function truncatedError(
  source: ByteSource,
  byteOffset: number,
  where: string,
): HooklineError {
  return new HooklineError("MODEL_TRUNCATED", {
    message:
      `cannot read "${source.label}": ${where} at byte ${byteOffset} runs past the end of its message`,
    fix: "copy or download the file again; it is cut short or damaged",
    details: { path: source.label, byteOffset, field: where },
  });
}

/** The error for bytes that are no protobuf. */
export function malformedError(
  source: ByteSource,
  byteOffset: number,
  what: string,
): HooklineError {
  return new HooklineError("MODEL_MALFORMED", {
    message: `cannot read "${source.label}": ${what} at byte ${byteOffset}`,
    fix: "copy, download or export the file again; it is damaged",
    details: { path: source.label, byteOffset },
  });
}

function readVarint(
  source: ByteSource,
  start: number,
  end: number,
  where: string,
): { value: bigint; next: number } {
  let low = 0;
  let high = 0n;
  let offset = start;
  for (let index = 0; index < 10; index++) {
    if (offset >= end) throw truncatedError(source, start, where);
    const byte = source.byteAt(offset++);
    if (index < 4) low += (byte & 0x7f) * 2 ** (7 * index);
    else high |= BigInt(byte & 0x7f) << BigInt(7 * index);
    if (byte < 0x80) {
      return {
        value: index < 4 ? BigInt(low) : (high | BigInt(low)) & 0xffffffffffffffffn,
        next: offset,
      };
    }
  }
  throw malformedError(source, start, `a varint of ${where} longer than ten bytes`);
}

/** The next field of the message that ends at `end`; `where` names the message in errors. */
export function readField(
  source: ByteSource,
  start: number,
  end: number,
  where: string,
): WireField {
  const tag = readVarint(source, start, end, where);
  const fieldNumber = Number(tag.value >> 3n);
  const wireType = Number(tag.value & 7n);
  if (fieldNumber === 0 || fieldNumber > 536_870_911) {
    throw malformedError(source, start, `the impossible field number ${fieldNumber} in ${where}`);
  }
  let payload = tag.next;
  let next: number;
  let varint = 0n;
  switch (wireType) {
    case 0: {
      const value = readVarint(source, payload, end, where);
      varint = value.value;
      next = value.next;
      break;
    }
    case 1:
      next = payload + 8;
      break;
    case 2: {
      const length = readVarint(source, payload, end, where);
      payload = length.next;
      if (length.value > BigInt(Number.MAX_SAFE_INTEGER)) {
        throw truncatedError(source, start, where);
      }
      next = payload + Number(length.value);
      break;
    }
    case 5:
      next = payload + 4;
      break;
    default:
      throw malformedError(source, start, `the unsupported wire type ${wireType} in ${where}`);
  }
  if (next > end) throw truncatedError(source, start, where);
  return { fieldNumber, wireType, start, payload, end: next, varint };
}

/** All fields of the message in `[start, end)`. */
export function* readFields(
  source: ByteSource,
  start: number,
  end: number,
  where: string,
): Generator<WireField> {
  for (let offset = start; offset < end;) {
    const field = readField(source, offset, end, where);
    yield field;
    offset = field.end;
  }
}

/** The bytes of a varint. */
export function encodeVarint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
