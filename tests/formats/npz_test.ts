import assert from "node:assert/strict";
import { crc32, deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { encodeNpy } from "../../formats/npy.ts";
import { decodeNpz, encodeNpz } from "../../formats/npz.ts";
import { emptyTensorMap, float32, tensor } from "../../tensor/tensor.ts";
import { readFixture } from "../support/fixture_path.ts";
import { damagedCopies, refusals, thrown } from "./_damage.ts";
import { assertSameTensor, numericTensors } from "./_tensors.ts";

const refuse = (bytes: Uint8Array) => thrown(() => decodeNpz(bytes, "x.npz"), "FILE_FORMAT");
const one = () => encodeNpz({ x: float32([2], [1, 2]) });
const names = fc.string({ unit: "grapheme", maxLength: 8 });
const plain = ["float32", "bool", "int64", "bfloat16", "uint16"] as const;

/** `bytes` with the 32-bit number at `at`, counted from the end, replaced. */
function withUint32(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  new DataView(copy.buffer).setUint32(copy.length - at, value, true);
  return copy;
}

Deno.test("decodeNpz() gives back what encodeNpz() wrote, names and order included", () => {
  fc.assert(fc.property(fc.dictionary(names, numericTensors(plain), { maxKeys: 4 }), (map) => {
    const found = decodeNpz(encodeNpz(map), "x");
    assert.deepEqual(Object.keys(found), Object.keys(map));
    for (const [name, value] of Object.entries(map)) assertSameTensor(found[name], value);
  }));
});

Deno.test("decodeNpz() reads numpy's stored and deflated archives", () => {
  for (const name of ["stored.npz", "deflated.npz"]) {
    const found = decodeNpz(readFixture("formats", name), name);
    assert.deepEqual(Object.keys(found), ["x", "a/b.c", "zeros", "tüte"]);
    assertSameTensor(found.x, float32([2, 3], [0, 1, 2, 3, 4, 5]));
    assertSameTensor(found["a/b.c"], tensor("int64", [], BigInt64Array.of(7n)));
    assertSameTensor(found.zeros, float32([1000], new Float32Array(1000)));
    assertSameTensor(found["tüte"], tensor("string", [1], ["ja"]));
  }
});

Deno.test("encodeNpz() writes the same bytes each time, names that objects inherit included", () => {
  const map = emptyTensorMap();
  map["__proto__"] = float32([], [1]);
  map["constructor"] = float32([], [2]);
  assert.deepEqual(encodeNpz(map), encodeNpz(map));
  assert.deepEqual(Object.keys(decodeNpz(encodeNpz(map), "x")), ["__proto__", "constructor"]);
  assert.deepEqual(Object.keys(decodeNpz(encodeNpz({}), "x")), []);
});

/** An archive of one entry whose sizes lie in ZIP64 fields, its directory end in the ZIP64 form. */
function zip64(content: Uint8Array): Uint8Array {
  const file = new Uint8Array(30 + 5 + content.length + 46 + 5 + 28 + 56 + 20 + 22);
  const view = new DataView(file.buffer);
  view.setUint32(0, 0x04034b50, true);
  view.setUint16(26, 5, true);
  const name = new TextEncoder().encode("x.npy");
  file.set(name, 30);
  file.set(content, 35);
  const central = 35 + content.length;
  view.setUint32(central, 0x02014b50, true);
  view.setUint32(central + 16, crc32(content), true);
  view.setUint32(central + 20, 0xffffffff, true);
  view.setUint32(central + 24, 0xffffffff, true);
  view.setUint16(central + 28, 5, true);
  view.setUint16(central + 30, 28, true);
  view.setUint32(central + 42, 0xffffffff, true);
  file.set(name, central + 46);
  const extra = central + 51;
  view.setUint16(extra, 1, true);
  view.setUint16(extra + 2, 24, true);
  view.setBigUint64(extra + 4, BigInt(content.length), true);
  view.setBigUint64(extra + 12, BigInt(content.length), true);
  const end64 = extra + 28;
  view.setUint32(end64, 0x06064b50, true);
  view.setBigUint64(end64 + 32, 1n, true);
  view.setBigUint64(end64 + 40, BigInt(end64 - central), true);
  view.setBigUint64(end64 + 48, BigInt(central), true);
  view.setUint32(end64 + 56, 0x07064b50, true);
  view.setBigUint64(end64 + 64, BigInt(end64), true);
  view.setUint32(end64 + 76, 0x06054b50, true);
  view.setUint16(end64 + 86, 0xffff, true);
  view.setUint32(end64 + 88, 0xffffffff, true);
  view.setUint32(end64 + 92, 0xffffffff, true);
  return file;
}

Deno.test("decodeNpz() reads ZIP64", () => {
  const value = float32([2], [1, 2]);
  const file = zip64(encodeNpy(value));
  assertSameTensor(decodeNpz(file, "x").x, value);
  const copies = damagedCopies([file], 500, 3);
  assert.ok(refusals((bytes) => decodeNpz(bytes, "damaged"), copies) > 300);
});

/** A deflated archive made from a stored one: the same directory, its sizes as given. */
function deflated(content: Uint8Array, declaredBytes: number): Uint8Array {
  const packed = deflateRawSync(content);
  const file = new Uint8Array(35 + packed.length + 51 + 22);
  const view = new DataView(file.buffer);
  const name = new TextEncoder().encode("x.npy");
  view.setUint32(0, 0x04034b50, true);
  view.setUint16(26, 5, true);
  file.set(name, 30);
  file.set(packed, 35);
  const central = 35 + packed.length;
  view.setUint32(central, 0x02014b50, true);
  view.setUint16(central + 10, 8, true);
  view.setUint32(central + 16, crc32(content), true);
  view.setUint32(central + 20, packed.length, true);
  view.setUint32(central + 24, declaredBytes, true);
  view.setUint16(central + 28, 5, true);
  file.set(name, central + 46);
  view.setUint32(central + 51, 0x06054b50, true);
  view.setUint16(central + 61, 1, true);
  view.setUint32(central + 63, 51, true);
  view.setUint32(central + 67, central, true);
  return file;
}

Deno.test("decodeNpz() refuses sizes that the bytes do not bear out", () => {
  const content = encodeNpy(float32([1000], new Float32Array(1000)));
  assertSameTensor(
    decodeNpz(deflated(content, content.length), "x").x,
    float32([1000], new Float32Array(1000)),
  );
  assert.match(refuse(deflated(content, 0xfffffff0)).message, /deflate can reach/);
  assert.match(refuse(deflated(content, content.length - 1)).message, /do not inflate/);
  assert.match(refuse(deflated(content, content.length + 1)).message, /as declared/);
});

Deno.test("decodeNpz() refuses entries that share bytes, the trick of a ZIP bomb", () => {
  const file = encodeNpz({ a: float32([1], [1]), b: float32([1], [2]) });
  const secondOffset = 22 + 51 - 42;
  assert.match(refuse(withUint32(file, secondOffset, 0)).message, /overlap/);
});

Deno.test("decodeNpz() refuses checksums, methods, passwords and entries that it cannot trust", () => {
  const central = 22 + 51;
  assert.match(refuse(withUint32(one(), central - 16, 1)).message, /checksum/);
  assert.match(refuse(withUint32(one(), central - 8, 0x000c0000)).message, /method 12/);
  assert.match(refuse(withUint32(one(), central - 8, 1)).message, /encrypted/);
  assert.match(refuse(one().slice(0, -1)).message, /end of a ZIP directory/);
  assert.match(refuse(new Uint8Array(0)).message, /end of a ZIP directory/);
  const renamed = one();
  renamed[renamed.length - 23] = 0x78;
  assert.match(refuse(renamed).message, /\.npy entries alone/);
  const twice = encodeNpz({ a: float32([1], [1]), b: float32([1], [2]) });
  twice[twice.length - 22 - 5] = 0x61;
  assert.match(refuse(twice).message, /two entries/);
});

Deno.test("decodeNpz() names the entry whose array is damaged", () => {
  const file = one();
  const bad = encodeNpy(float32([2], [1, 2]));
  bad[0] = 0;
  file.set(bad, 35);
  const fixed = withUint32(file, 22 + 51 - 16, crc32(bad));
  assert.match(refuse(fixed).message, /"x\.npz\/x\.npy"/);
});

Deno.test("decodeNpz() refuses 2,000 damaged files with FILE_FORMAT alone", () => {
  const files = [
    readFixture("formats", "deflated.npz"),
    one(),
    encodeNpz({ a: float32([1], [1]), b: float32([1], [2]) }),
  ];
  const refused = refusals((bytes) => decodeNpz(bytes, "damaged"), damagedCopies(files, 2000));
  assert.ok(refused > 1000, `${refused}`);
});

Deno.test("encodeNpz() refuses names that a ZIP cannot hold", () => {
  thrown(() => encodeNpz({ "\ud800": float32([], [1]) }), "FILE_WRITE");
  thrown(() => encodeNpz({ ["x".repeat(70_000)]: float32([], [1]) }), "FILE_WRITE");
  thrown(
    () => encodeNpz({ x: { dtype: "int8", shape: [], data: new Uint8Array(1) } }),
    "FEED_DATA",
  );
});
