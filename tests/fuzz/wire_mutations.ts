// Damage to the bytes of a model: flips, cuts, and edits of protobuf fields at any depth, with the
// lengths around them put right (so that the damage is deep inside a readable file) or left wrong.

import type { SeededRandom } from "./seeded_random.ts";

interface Field {
  readonly number: number;
  readonly wireType: number;
  readonly start: number;
  readonly payload: number;
  readonly end: number;
}

/** Field numbers that hold messages, by message, after onnx.proto of ONNX 1.20. */
const CHILDREN: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  model: { 7: "graph", 8: "opset", 14: "entry", 25: "function" },
  graph: { 1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value", 15: "sparse" },
  function: { 7: "node", 9: "opset", 11: "attribute", 12: "value" },
  node: { 5: "attribute", 9: "entry" },
  attribute: { 5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 14: "type", 22: "sparse" },
  tensor: { 13: "entry" },
  sparse: { 1: "tensor", 2: "tensor" },
  value: { 2: "type", 4: "entry" },
  type: { 1: "tensorType", 4: "sequence" },
  tensorType: { 2: "shape" },
  shape: { 1: "dimension" },
  sequence: { 1: "type" },
};

function readVarint(bytes: Uint8Array, start: number): { value: number; next: number } {
  let value = 0;
  for (let index = 0; index < 10; index++) {
    const byte = bytes[start + index] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, next: start + index + 1 };
  }
  return { value, next: start + 10 };
}

function fieldsOf(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  for (let start = 0; start < bytes.length;) {
    const tag = readVarint(bytes, start);
    const wireType = tag.value % 8;
    let payload = tag.next;
    let end = bytes.length;
    if (wireType === 0) end = readVarint(bytes, payload).next;
    else if (wireType === 1) end = payload + 8;
    else if (wireType === 5) end = payload + 4;
    else if (wireType === 2) {
      const length = readVarint(bytes, payload);
      payload = length.next;
      end = payload + length.value;
    }
    end = Math.min(end, bytes.length);
    fields.push({ number: Math.floor(tag.value / 8), wireType, start, payload, end });
    start = Math.max(end, start + 1);
  }
  return fields;
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

function delimited(number: number, payload: Uint8Array): Uint8Array {
  return join(varint(number * 8 + 2), varint(payload.length), payload);
}

function noise(random: SeededRandom, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}

const WILD_VARINTS: readonly Uint8Array[] = [
  Uint8Array.of(0),
  Uint8Array.of(0x7f),
  Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f),
  Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x07),
  Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f),
  Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
  Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
];

/** Replaces one field of a message by something else; lengths around it stay right. */
function editField(bytes: Uint8Array, fields: readonly Field[], random: SeededRandom): Uint8Array {
  const field = random.pick(fields);
  if (field === undefined) return noise(random, 1 + random.below(4));
  const before = bytes.subarray(0, field.start);
  const after = bytes.subarray(field.end);
  const whole = bytes.subarray(field.start, field.end);
  const payload = bytes.subarray(field.payload, field.end);
  const tag = varint(field.number * 8 + field.wireType);
  switch (random.below(11)) {
    case 0:
      return join(before, after);
    case 1:
      return join(before, whole, whole, after);
    case 2: {
      const other = random.pick(fields) ?? field;
      const [left, right] = field.start <= other.start ? [field, other] : [other, field];
      if (left === right) return bytes;
      return join(
        bytes.subarray(0, left.start),
        bytes.subarray(right.start, right.end),
        bytes.subarray(left.end, right.start),
        bytes.subarray(left.start, left.end),
        bytes.subarray(right.end),
      );
    }
    case 3: // another field number
      return join(
        before,
        varint(random.below(30) * 8 + field.wireType),
        bytes.subarray(field.start + tag.length, field.end),
        after,
      );
    case 4: // another wire type, same bytes
      return join(
        before,
        varint(field.number * 8 + random.below(8)),
        bytes.subarray(field.start + tag.length, field.end),
        after,
      );
    case 5: // a wild length or number
      return join(before, tag, random.pick(WILD_VARINTS) ?? whole, after);
    case 6: // a length that is off by a little
      return field.wireType === 2
        ? join(
          before,
          tag,
          varint(Math.max(0, payload.length + random.below(9) - 4)),
          payload,
          after,
        )
        : join(before, after);
    case 7:
      return join(before, delimited(field.number, noise(random, random.below(20))), after);
    case 8: // shorter, its own length right
      return join(
        before,
        delimited(field.number, payload.subarray(0, random.below(payload.length + 1))),
        after,
      );
    case 9: // an unknown field, or a group
      return join(
        before,
        random.chance(0.5)
          ? delimited(1000 + random.below(1000), noise(random, random.below(20)))
          : join(varint(field.number * 8 + 3), varint(field.number * 8 + 4)),
        bytes.subarray(field.start),
      );
    default: // the same message around itself
      return join(before, delimited(field.number, whole), after);
  }
}

function editMessage(bytes: Uint8Array, kind: string, random: SeededRandom): Uint8Array {
  const fields = fieldsOf(bytes);
  const children = CHILDREN[kind] ?? {};
  const inner = fields.filter((field) =>
    field.wireType === 2 && children[field.number] !== undefined
  );
  if (inner.length === 0 || random.chance(0.15)) return editField(bytes, fields, random);
  // Kinds first, then one of the kind: otherwise everything lands in nodes.
  const numbers = [...new Set(inner.map((field) => field.number))];
  const number = random.pick(numbers) ?? 0;
  const field = random.pick(inner.filter((candidate) => candidate.number === number));
  if (field === undefined) return bytes;
  const edited = editMessage(
    bytes.subarray(field.payload, field.end),
    children[number] ?? "",
    random,
  );
  return join(
    bytes.subarray(0, field.start),
    delimited(number, edited),
    bytes.subarray(field.end),
  );
}

/** One damage to the bytes. */
export function mutateBytes(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  switch (random.below(10)) {
    case 0: { // flips
      const out = new Uint8Array(bytes);
      // Headers matter more than weights, which are most of a file.
      const reach = random.chance(0.5) ? Math.min(out.length, 4096) : out.length;
      for (let count = 1 + random.below(8); count > 0; count--) {
        const at = random.below(reach);
        out[at] = random.chance(0.5) ? (out[at] ?? 0) ^ (1 << random.below(8)) : random.below(256);
      }
      return out;
    }
    case 1:
      return new Uint8Array(bytes.subarray(0, random.below(bytes.length)));
    case 2: { // bytes put in or taken out
      const at = random.below(bytes.length);
      return random.chance(0.5)
        ? join(bytes.subarray(0, at), noise(random, 1 + random.below(8)), bytes.subarray(at))
        : join(bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(8)));
    }
    default:
      return editMessage(bytes, "model", random);
  }
}
