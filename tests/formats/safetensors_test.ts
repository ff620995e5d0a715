import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import fc from "fast-check";
import { decodeSafetensors, encodeSafetensors } from "../../formats/safetensors.ts";
import { emptyTensorMap, float32, tensor, tensorBytes } from "../../tensor/tensor.ts";
import { fixturePath, readFixture } from "../support/fixture_path.ts";
import { damagedCopies, refusals, thrown } from "./_damage.ts";
import { assertSameTensor, numericTensors } from "./_tensors.ts";

/** A file with this header text and so many bytes of data. */
function file(header: string, dataBytes = 0): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const entry = (begin: number, end: number, shape = `[${(end - begin) / 4}]`) =>
  `{"dtype":"F32","shape":${shape},"data_offsets":[${begin},${end}]}`;
const refuse = (bytes: Uint8Array) =>
  thrown(() => decodeSafetensors(bytes, "x.safetensors"), "FILE_FORMAT");

Deno.test("decodeSafetensors() gives back what encodeSafetensors() wrote, bit for bit", () => {
  const names = fc.string({ unit: "grapheme", maxLength: 8 }).filter((name) =>
    name !== "__metadata__"
  );
  fc.assert(fc.property(fc.dictionary(names, numericTensors(), { maxKeys: 5 }), (map) => {
    const found = decodeSafetensors(encodeSafetensors(map), "x");
    assert.deepEqual(Object.keys(found).sort(), Object.keys(map).sort());
    for (const [name, value] of Object.entries(map)) assertSameTensor(found[name], value);
  }));
});

Deno.test("encodeSafetensors() writes the bytes that the reference implementation writes", () => {
  const golden = readFixture("formats", "all_types.safetensors");
  const tensors = decodeSafetensors(golden, "golden");
  assert.equal(Object.keys(tensors).length, 36);
  assert.deepEqual(encodeSafetensors(tensors, { b: "2", a: "ü" }), golden);
  assertSameTensor(
    tensors["z.bfloat16"],
    tensor("bfloat16", [1, 3], Uint16Array.of(0, 16256, 16256)),
  );
});

Deno.test("encodeSafetensors() writes bytes that do not depend on the map's order", () => {
  const [a, b, c] = [float32([1], [1]), float32([1], [2]), tensor("bool", [], Uint8Array.of(1))];
  assert.deepEqual(encodeSafetensors({ a, b, c }), encodeSafetensors({ c, b, a }));
});

Deno.test("decodeSafetensors() reads every module output of the torch fixtures", () => {
  for (const model of readdirSync(fixturePath("torch"))) {
    const bytes = readFixture("torch", model, "module_outputs.safetensors");
    const tensors = decodeSafetensors(bytes, model);
    const total = Object.values(tensors).reduce((sum, each) => sum + tensorBytes(each).length, 0);
    const header = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    assert.equal(total, bytes.length - 8 - header);
    const again = decodeSafetensors(encodeSafetensors(tensors), model);
    for (const [name, value] of Object.entries(tensors)) assertSameTensor(again[name], value);
  }
});

Deno.test("decodeSafetensors() copies data that lie at any alignment", () => {
  const header = `{"x":${entry(0, 4)}}`;
  assert.notEqual((8 + header.length) % 4, 0);
  const bytes = file(header, 4);
  bytes.set(new Uint8Array(Float32Array.of(1.5).buffer), 8 + header.length);
  const { x } = decodeSafetensors(bytes, "x");
  bytes.fill(0);
  assertSameTensor(x, float32([1], [1.5]));
});

Deno.test("decodeSafetensors() keeps names that objects inherit, and an empty file", () => {
  const map = emptyTensorMap();
  map["__proto__"] = float32([], [1]);
  assert.deepEqual(Object.keys(decodeSafetensors(encodeSafetensors(map), "x")), ["__proto__"]);
  assert.deepEqual(Object.keys(decodeSafetensors(encodeSafetensors({}), "x")), []);
});

Deno.test("decodeSafetensors() refuses headers that do not describe the file exactly", () => {
  const cases: readonly (readonly [RegExp, Uint8Array])[] = [
    [/3 bytes/, Uint8Array.of(1, 2, 3)],
    [/declared header of 18446744073709551615/, new Uint8Array(16).fill(255)],
    [/declared header of 9 /, Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d)],
    [/does not begin with \{/, file(" {}")],
    [/no JSON/, file("{x}")],
    [/no UTF-8/, file("{}").map((byte, index) => index === 9 ? 255 : byte)],
    [/"x" twice/, file(`{"x":${entry(0, 4)},"x":${entry(0, 4)}}`, 4)],
    [/"\\u0078"|"x" twice/, file(`{"x":${entry(0, 4)},"\\u0078":${entry(0, 4)}}`, 4)],
    [/"shape" twice/, file(`{"x":{"shape":[1],"shape":[1]}}`)],
    [/an overlap/, file(`{"a":${entry(0, 8)},"b":${entry(4, 8)}}`, 8)],
    [/a hole/, file(`{"a":${entry(4, 8)}}`, 8)],
    [/8 bytes of data/, file(`{"a":${entry(0, 4)}}`, 8)],
    [/0 bytes of data/, file(`{"a":${entry(0, 4)}}`, 0)],
    [/4 bytes for tensor/, file(`{"a":${entry(0, 4, "[2]")}}`, 4)],
    [/-4 bytes for tensor/, file(`{"a":${entry(4, 0, "[1]")}}`, 4)],
    [/no exact count/, file(`{"a":${entry(0, 4, "[1.5]")}}`, 4)],
    [/no exact count/, file(`{"a":${entry(0, 0, "[9007199254740991, 9007199254740991, 0]")}}`)],
    [/no exact count/, file(`{"a":${entry(0, 0, "[9007199254740991]")}}`)],
    [/another form/, file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}`, 4)],
    [/another form/, file(`{"a":[]}`)],
    [/no description/, file(`{"a":null}`)],
    [/"F33"/, file(`{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}`, 4)],
    [/__metadata__/, file(`{"__metadata__":{"a":1}}`)],
    [/C64/, readFixture("formats", "complex.safetensors")],
  ];
  for (const [message, bytes] of cases) assert.match(refuse(bytes).message, message);
  const flag = file(`{"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}`, 1);
  flag[flag.length - 1] = 2;
  assert.match(refuse(flag).message, /bool byte/);
});

Deno.test("decodeSafetensors() refuses 2,000 damaged files with FILE_FORMAT alone", () => {
  const golden = readFixture("formats", "all_types.safetensors");
  const small = encodeSafetensors({ a: float32([2], [1, 2]), b: float32([], [3]) }, { k: "v" });
  const refused = refusals(
    (bytes) => decodeSafetensors(bytes, "damaged"),
    damagedCopies([golden, small], 2000),
  );
  assert.ok(refused > 800, `${refused}`);
});

Deno.test("encodeSafetensors() refuses strings, the metadata's name and unsound tensors", () => {
  const text = thrown(
    () => encodeSafetensors({ words: tensor("string", [1], ["a"]) }),
    "FILE_WRITE",
  );
  assert.equal(text.details.tensor, "words");
  thrown(() => encodeSafetensors({ __metadata__: float32([], [1]) }), "FILE_WRITE");
  thrown(() => encodeSafetensors({ "\udc00": float32([], [1]) }), "FILE_WRITE");
  const unsound = { dtype: "float32", shape: [2], data: new Float32Array(1) } as const;
  thrown(() => encodeSafetensors({ unsound }), "FEED_DATA");
});
