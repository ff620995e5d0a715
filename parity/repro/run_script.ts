// The script that comes with a repro: plain JavaScript over plain onnxruntime-node, nothing of Hookline,
// so that whoever gets the folder can run it and read all of it. It reads repro.json for the rest.

/** The text of `run.mjs`. */
export const RUN_SCRIPT: string = String
  .raw`// Runs candidate.onnx on the inputs beside it with plain onnxruntime-node, and holds its outputs against
// the reference's. Exits 1 when they are further apart than tolerated, 0 when not, 2 when it cannot tell.
//
//   npm install --ignore-scripts && node run.mjs      (without --ignore-scripts where a GPU is wanted)

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.env.ORT_DISABLE_TELEMETRY ??= "1";
const at = (file) => fileURLToPath(new URL(file, import.meta.url));
const repro = JSON.parse(readFileSync(at("repro.json"), "utf8"));

let ort;
try {
  ort = await import("onnxruntime-node");
  ort = ort.default ?? ort;
} catch (error) {
  console.error("cannot load onnxruntime-node: run npm install --ignore-scripts first\n" + error.message);
  process.exit(2);
}

/** A .npy file as ONNX Runtime takes it; half floats stay bits. */
function readNpy(file) {
  const bytes = readFileSync(at(file));
  const length = bytes[6] === 1 ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8);
  const start = (bytes[6] === 1 ? 10 : 12) + length;
  const header = bytes.toString("latin1", start - length, start);
  const descr = /'descr': '([^']*)'/.exec(header)[1];
  const dims = /'shape': \(([^)]*)\)/.exec(header)[1].split(",").filter((size) => size.trim())
    .map(Number);
  const known = {
    "<f4": ["float32", Float32Array],
    "<f8": ["float64", Float64Array],
    "<f2": ["float16", Uint16Array],
    "<i8": ["int64", BigInt64Array],
    "<u8": ["uint64", BigUint64Array],
    "<i4": ["int32", Int32Array],
    "<u4": ["uint32", Uint32Array],
    "<i2": ["int16", Int16Array],
    "<u2": ["uint16", Uint16Array],
    "|i1": ["int8", Int8Array],
    "|u1": ["uint8", Uint8Array],
    "|b1": ["bool", Uint8Array],
  }[descr];
  if (known === undefined) throw new Error("onnxruntime-node takes no elements of " + descr);
  const [type, Elements] = known;
  const data = new Elements(new Uint8Array(bytes.subarray(start)).buffer);
  return { type, dims, data, location: "cpu" };
}

function halfFloat(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

function numbers({ type, data }) {
  if (type === "float16" && data instanceof Uint16Array) return Array.from(data, halfFloat);
  return Array.from(data, Number);
}

/** Largest difference, and how many times what is tolerated that is. */
function compare(reference, found, { atol, rtol }) {
  if (String(reference.dims) !== String(found.dims)) {
    return { maxAbs: Infinity, tolerated: 0, ratio: Infinity, note: "the shape is another one" };
  }
  const [left, right] = [numbers(reference), numbers(found)];
  let maxAbs = 0;
  let scale = 0;
  for (let index = 0; index < left.length; index++) {
    if (Number.isFinite(left[index])) scale = Math.max(scale, Math.abs(left[index]));
    if (Object.is(left[index], right[index]) || left[index] === right[index]) continue;
    const apart = Math.abs(left[index] - right[index]);
    maxAbs = Math.max(maxAbs, Number.isNaN(apart) ? Infinity : apart);
  }
  const tolerated = atol + rtol * scale;
  return { maxAbs, tolerated, ratio: maxAbs === 0 ? 0 : maxAbs / tolerated, note: "" };
}

async function run({ file, inputs }) {
  const session = await ort.InferenceSession.create(at(file), repro.sessionOptions);
  const feeds = {};
  for (const { name, file } of inputs) feeds[name] = readNpy(file);
  const outputs = await session.run(feeds);
  await session.release();
  return outputs;
}

function report(label, outputs, side) {
  let worst = 0;
  for (const output of repro.outputs) {
    const name = output[side];
    const found = outputs[name];
    const wanted = readNpy(output.expected);
    const { maxAbs, tolerated, ratio, note } = compare(
      wanted,
      { type: found.type, dims: found.dims, data: found.data },
      output.tolerance,
    );
    console.log(
      label + "  " + name + "  off by " + maxAbs + ", tolerated " + tolerated + ": " +
        (ratio > 1 ? ratio.toPrecision(3) + " times too much" : "good") + (note && " (" + note + ")"),
    );
    worst = Math.max(worst, ratio);
  }
  return worst;
}

console.log("onnxruntime-node " + (ort.env?.versions?.node ?? "") + ", node " + process.version);
let status = 0;
try {
  if (report("candidate", await run(repro.candidate), "candidate") > 1) status = 1;
} catch (error) {
  console.log("candidate  does not run on the reference's inputs: " + error.message);
  status = repro.problem === null ? 2 : 1;
}
if (repro.reference !== null) {
  try {
    report("reference", await run(repro.reference), "reference");
  } catch (error) {
    console.log("reference  does not run: " + error.message);
  }
}
process.exit(status);
`;
