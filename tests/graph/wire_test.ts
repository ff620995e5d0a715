import assert from "node:assert/strict";
import fc from "fast-check";
import type { ErrorCode } from "../../errors/codes.ts";
import { memorySource } from "../../graph/byte_source.ts";
import { encodeVarint, readField, readFields } from "../../graph/wire.ts";
import { expectCode } from "../sessions/expect_code.ts";

function fields(...bytes: number[]) {
  const source = memorySource(Uint8Array.from(bytes));
  return [...readFields(source, 0, bytes.length, "test")];
}

function refused(code: ErrorCode, ...bytes: number[]) {
  return expectCode(code, () => fields(...bytes));
}

Deno.test("readFields() tells where each field starts, lies and ends", () => {
  const found = fields(
    0x08,
    0x96,
    1,
    0x1a,
    2,
    7,
    7,
    0x25,
    1,
    2,
    3,
    4,
    0x29,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
  );
  assert.deepEqual(
    found.map((
      { fieldNumber, wireType, start, payload, end, varint },
    ) => [fieldNumber, wireType, start, payload, end, varint]),
    [[1, 0, 0, 1, 3, 150n], [3, 2, 3, 5, 7, 0n], [4, 5, 7, 8, 12, 0n], [5, 1, 12, 13, 21, 0n]],
  );
});

Deno.test("readFields() reads varints of all lengths, ten bytes at most", () => {
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }), (value) => {
    const bytes = [0x08];
    let rest = value;
    for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
    bytes.push(Number(rest));
    assert.equal(fields(...bytes)[0]?.varint, value);
  }));
  const minusOne = [0x08, ...Array<number>(9).fill(0xff), 0x01];
  assert.equal(fields(...minusOne)[0]?.varint, 0xffffffffffffffffn);
});

Deno.test("readFields() keeps 64 bits of a varint that claims more", () => {
  const bytes = [0x08, ...Array<number>(9).fill(0xff), 0x7f];
  assert.equal(fields(...bytes)[0]?.varint, 0xffffffffffffffffn);
});

Deno.test("readFields() refuses a varint of eleven bytes", async () => {
  await refused("MODEL_MALFORMED", 0x08, ...Array<number>(10).fill(0xff), 0x01);
});

Deno.test("readFields() refuses field number 0 and one beyond 29 bits", async () => {
  await refused("MODEL_MALFORMED", 0x00, 0x00);
  await refused("MODEL_MALFORMED", 0x80, 0x80, 0x80, 0x80, 0x10, 0x00);
});

Deno.test("readFields() refuses groups and wire types that do not exist", async () => {
  for (const wireType of [3, 4, 6, 7]) await refused("MODEL_MALFORMED", 0x08 + wireType, 0, 0);
});

Deno.test("readFields() refuses what runs past the message", async () => {
  await refused("MODEL_TRUNCATED", 0x80);
  await refused("MODEL_TRUNCATED", 0x08);
  await refused("MODEL_TRUNCATED", 0x09, 1, 2, 3, 4, 5, 6, 7);
  await refused("MODEL_TRUNCATED", 0x0d, 1, 2, 3);
  await refused("MODEL_TRUNCATED", 0x0a, 0x05, 1, 2, 3, 4);
});

Deno.test("readFields() refuses lengths beyond any file before it believes them", async () => {
  const error = await refused("MODEL_TRUNCATED", 0x0a, ...Array<number>(9).fill(0xff), 0x01);
  assert.equal(error.details["byteOffset"], 0);
  await refused("MODEL_TRUNCATED", 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f);
});

Deno.test("readField() checks against the enclosing message, not the file", async () => {
  const source = memorySource(Uint8Array.of(0x0a, 0x04, 1, 2, 3, 4));
  assert.equal(readField(source, 0, 6, "test").end, 6);
  await expectCode("MODEL_TRUNCATED", () => readField(source, 0, 5, "test"));
});

Deno.test("encodeVarint() is read back by readField()", () => {
  fc.assert(fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (value) => {
    assert.equal(fields(0x08, ...encodeVarint(value))[0]?.varint, BigInt(value));
  }));
});
