import assert from "node:assert/strict";
import {
  decodeTensors,
  encodeTensors,
  WireFault,
  type WireTensor,
} from "../../../manifest/isolation/tensor_wire.ts";
import { float32, tensor } from "../../../tensor/tensor.ts";

const entry: WireTensor = {
  name: "y",
  dtype: "float32",
  shape: [2],
  kind: "Float32Array",
  buffer: 0,
};
const bytes = () => [new ArrayBuffer(8)];

Deno.test("encodeTensors() views the tensors' own memory, and counts buffers from where it is told", () => {
  const memory = new Float32Array(8);
  const value = float32([2], memory.subarray(3, 5));
  const strings = tensor("string", [1], ["a"]);
  const { entries, bytes } = encodeTensors({ s: strings, y: value }, 4);
  assert.deepEqual(entries, [
    { name: "s", dtype: "string", shape: [1], strings: ["a"] },
    { ...entry, buffer: 4 },
  ]);
  assert.equal(bytes[0]?.buffer, memory.buffer);
  assert.deepEqual([bytes[0]?.byteOffset, bytes[0]?.byteLength], [12, 8]);
});

Deno.test("decodeTensors() returns what encodeTensors() was given", () => {
  const values = { y: float32([2], [1, -0]), s: tensor("string", [2], ["", "ü"]) };
  const { entries, bytes } = encodeTensors(values);
  const buffers = bytes.map((view) => new Uint8Array(view).slice().buffer);
  const decoded = decodeTensors(entries, buffers, ["s", "y"]);
  assert.deepEqual({ ...decoded }, values);
});

const HOSTILE: Readonly<Record<string, readonly [unknown, unknown?]>> = {
  "no list": [{ length: 1 }],
  "no buffers": [[entry], null],
  "more tensors than names": [[entry, entry]],
  "a tensor that is null": [[null]],
  "an unknown name": [[{ ...entry, name: "x" }]],
  "a name of its prototype": [[{ ...entry, name: "__proto__" }]],
  "no name": [[{ ...entry, name: 3 }]],
  "an unknown dtype": [[{ ...entry, dtype: "float31" }]],
  "a dtype that is a list": [[{ ...entry, dtype: ["float32"] }]],
  "a dtype of another array": [[{ ...entry, dtype: "int32" }]],
  "an unknown array": [[{ ...entry, kind: "Array" }]],
  "a method for an array": [[{ ...entry, kind: "constructor" }]],
  "no shape": [[{ ...entry, shape: "2" }]],
  "a negative size": [[{ ...entry, shape: [-2, -1] }]],
  "a broken size": [[{ ...entry, shape: [1.5] }]],
  "a size that is text": [[{ ...entry, shape: ["2"] }]],
  "too many dimensions": [[{ ...entry, shape: Array(65).fill(1) }]],
  "more elements than bytes": [[{ ...entry, shape: [3] }]],
  "a buffer that is not there": [[{ ...entry, buffer: 1 }]],
  "a buffer by name": [[{ ...entry, buffer: "0" }]],
  "a buffer that is none": [[entry], ["12345678"]],
  "shared memory": [[entry], [new SharedArrayBuffer(8)]],
  "memory that can grow": [[entry], [new ArrayBuffer(8, { maxByteLength: 16 })]],
  "half an element": [[{ ...entry, shape: [1] }], [new ArrayBuffer(6)]],
  "strings that are numbers": [[{ ...entry, dtype: "string", strings: [1, 2] }]],
  "strings for numbers": [[{ ...entry, strings: ["1", "2"] }]],
};

for (const [what, [entries, buffers]] of Object.entries(HOSTILE)) {
  Deno.test(`decodeTensors() refuses ${what}`, () => {
    const given = buffers === undefined ? bytes() : buffers;
    const names = what.startsWith("more tensors") ? ["y"] : ["y", "z"];
    assert.throws(() => decodeTensors(entries, given, names), WireFault);
  });
}

Deno.test("decodeTensors() refuses two tensors in one buffer, and one name twice", () => {
  const two = [entry, { ...entry, name: "z" }];
  assert.throws(() => decodeTensors(two, bytes(), ["y", "z"]), /shares its bytes/);
  const twice = [entry, { ...entry, buffer: 1 }];
  assert.throws(
    () => decodeTensors(twice, [...bytes(), ...bytes()], ["y", "z"]),
    /names "y" twice/,
  );
});
