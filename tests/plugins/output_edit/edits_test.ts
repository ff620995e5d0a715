// What each edit does to elements, and that its arguments survive JSON.

import assert from "node:assert/strict";
import { type DType, float32, type JsonValue, type Tensor, tensor } from "../../../mod.ts";
import {
  addVector,
  clamp,
  type Edit,
  editKinds,
  type EditScope,
  jsonNumber,
  makeEdit,
  mapElements,
  meanAblate,
  patch,
  regionOffsets,
  scale,
  steer,
  type TensorReader,
  type TensorWriter,
  zero,
} from "../../../plugins/output_edit/mod.ts";
import { assertSameBits, coded } from "./_models.ts";

/** Keeps tensors apart, so that what is compared is the JSON alone. */
class Kept implements TensorWriter, TensorReader {
  readonly tensors: Tensor[] = [];
  write(value: Tensor): JsonValue {
    return { kept: this.tensors.push(value) - 1 };
  }
  read(json: JsonValue): Tensor {
    return this.tensors[(json as { kept: number }).kept] ?? assert.fail();
  }
}

/** Applies an edit, and the same edit after JSON; both give the same bits. */
async function apply(edit: Edit, activation: Tensor): Promise<Tensor> {
  const kept = new Kept();
  const json = JSON.parse(JSON.stringify(edit.serialise(kept)));
  const back = editKinds().parse(json, kept);
  assert.deepEqual(back.serialise(new Kept()), edit.serialise(new Kept()));
  const one = await edit.apply(activation, {} as EditScope) as Tensor;
  const two = await back.apply(activation, {} as EditScope) as Tensor;
  assertSameBits(two, one);
  return one;
}

const X = float32([2, 3], [1, -2, NaN, 4, Infinity, -0]);

Deno.test("zero() zeroes everything, NaN too, in every dtype", async () => {
  assertSameBits(await apply(zero(), X), float32([2, 3], new Float32Array(6)));
  const cases: [DType, Tensor["data"]][] = [
    ["int64", BigInt64Array.of(3n, 4n)],
    ["uint64", BigUint64Array.of(3n, 4n)],
    ["bool", Uint8Array.of(1, 1)],
    ["float16", Float16Array.of(1, NaN)],
    ["bfloat16", Uint16Array.of(0x3f80, 0x7fc0)],
  ];
  for (const [dtype, data] of cases) {
    const edited = await apply(
      zero({ at: [{ axis: 0, indices: [-1] }] }),
      tensor(dtype, [2], data),
    );
    assert.equal(Number(edited.data[1]), 0);
    assert.equal(edited.data[0], data[0]);
  }
  const strings = tensor("string", [1], ["a"]);
  await assert.rejects(apply(zero(), strings), coded("TENSOR_DTYPE", /string/));
});

Deno.test("scale() rounds its factor to the dtype first and keeps NaN", async () => {
  const edited = await apply(scale(0.1), X);
  const factor = Math.fround(0.1);
  assert.deepEqual(
    [...edited.data],
    [...X.data].map((value) => Math.fround(Number(value) * factor)),
  );
  const zeros = await apply(scale(-0), float32([1], [3]));
  assert.ok(Object.is(zeros.data[0], -0)); // -0 is an argument of its own
  const half = await apply(scale(0.1), tensor("float16", [1], Float16Array.of(3)));
  assert.equal(half.data[0], Math.f16round(Math.f16round(0.1) * 3));
  const wide = await apply(scale(0.1), tensor("float64", [1], Float64Array.of(3)));
  assert.equal(wide.data[0], 0.1 * 3);
  const counts = tensor("int64", [1], BigInt64Array.of(3n));
  await assert.rejects(apply(scale(2), counts), coded("TENSOR_DTYPE", /scale a int64/));
});

Deno.test("bfloat16 is rounded to nearest even, once", async () => {
  const bits = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0] as number;
  const bfloat = (values: number[]) =>
    tensor("bfloat16", [values.length], Uint16Array.from(values, (value) => bits(value) >>> 16));
  const edited = await apply(addVector(bfloat([1, 1, 1])), bfloat([2 ** -8, 3 * 2 ** -8, 2 ** -9]));
  // 1 + 2^-8 is a tie and goes to the even 1; 1 + 3·2^-8 goes up to 1 + 2^-6; 1 + 2^-9 goes down.
  assert.deepEqual(
    [...edited.data],
    [bits(1), bits(1 + 2 ** -6), bits(1)].map((one) => one >>> 16),
  );
  const nan = await apply(scale(2), tensor("bfloat16", [2], Uint16Array.of(0x7f81, 0xff80)));
  assert.equal(
    (Number(nan.data[0]) & 0x7f80) === 0x7f80 && (Number(nan.data[0]) & 0x7f) !== 0,
    true,
  );
  assert.equal(nan.data[1], 0xff80);
});

Deno.test("addVector() broadcasts as numpy does and refuses another dtype or shape", async () => {
  const edited = await apply(
    addVector(float32([3], [1, 2, 3])),
    float32([2, 3], [0, 0, 0, 1, 1, 1]),
  );
  assert.deepEqual([...edited.data], [1, 2, 3, 2, 3, 4]);
  const rows = await apply(
    addVector(float32([2, 1], [10, 20])),
    float32([2, 3], [0, 0, 0, 1, 1, 1]),
  );
  assert.deepEqual([...rows.data], [10, 10, 10, 21, 21, 21]);
  const middle = float32([2, 1, 2], [1, 2, 3, 4]);
  const cube = await apply(addVector(middle), float32([2, 2, 2], new Float32Array(8)));
  assert.deepEqual([...cube.data], [1, 2, 1, 2, 3, 4, 3, 4]);
  await assert.rejects(apply(addVector(float32([2], [1, 2])), X), coded("HOOK_SHAPE", /broadcast/));
  await assert.rejects(
    apply(addVector(tensor("float64", [3], Float64Array.of(1, 2, 3))), X),
    coded("HOOK_SHAPE", /float32 activation with a float64/),
  );
});

Deno.test("clamp() keeps NaN and -0, takes one side alone, and refuses a lower end above the upper", async () => {
  const edited = await apply(clamp({ min: -1, max: 3 }), X);
  assert.deepEqual([...edited.data], [1, -1, NaN, 3, 3, -0]);
  assert.deepEqual([...(await apply(clamp({ max: 0 }), X)).data], [0, -2, NaN, 0, 0, -0]);
  assert.deepEqual([...(await apply(clamp({ min: -Infinity, max: 9 }), X)).data][4], 9);
  assert.throws(() => clamp({}), coded("OPTION_INVALID", /wanted is min or max/));
  assert.throws(() => clamp({ min: 2, max: 1 }), coded("OPTION_INVALID", /min 2 is not at most/));
  assert.throws(() => clamp({ min: NaN }), coded("OPTION_INVALID"));
});

Deno.test("patch() puts elements in place bit for bit, in a region only when one is given", async () => {
  const payload = new Float32Array(Uint32Array.of(0x7fc12345).buffer);
  const edited = await apply(patch(tensor("float32", [1], payload)), X);
  assert.ok(
    [...new Uint32Array((edited.data as Float32Array).buffer)].every((b) => b === 0x7fc12345),
  );
  const column = await apply(patch(float32([1], [7]), { at: [{ axis: -1, start: 1, end: 2 }] }), X);
  assert.deepEqual([...column.data], [1, 7, NaN, 4, 7, -0]);
});

Deno.test("steer() adds coefficient times direction, of length 1 when normalized", async () => {
  const direction = float32([3], [3, 0, 4]);
  const base = float32([1, 3], [1, 1, 1]);
  assert.deepEqual([...(await apply(steer(direction, { coefficient: 2 }), base)).data], [7, 1, 9]);
  const unit = await apply(steer(direction, { coefficient: 5, normalize: true }), base);
  assert.deepEqual([...unit.data], [4, 1, 5]);
});

Deno.test("meanAblate() takes a given mean, or the activation's own along axes", async () => {
  const base = float32([2, 3], [1, 2, 3, 5, 6, 7]);
  const given = await apply(meanAblate({ mean: float32([3], [9, 8, 7]) }), base);
  assert.deepEqual([...given.data], [9, 8, 7, 9, 8, 7]);
  const own = await apply(meanAblate({ axes: [-1], at: [{ axis: 0, indices: [1] }] }), base);
  assert.deepEqual([...own.data], [1, 2, 3, 6, 6, 6]);
  const all = await apply(meanAblate({ axes: [0, 1] }), base);
  assert.deepEqual([...all.data], Array(6).fill(4));
  await assert.rejects(apply(meanAblate({ axes: [2] }), base), coded("HOOK_SHAPE", /no such axis/));
});

Deno.test("regionOffsets() is the product of ranges, with Python's slices, and refuses what is not there", () => {
  assert.equal(regionOffsets([2, 3], []), null);
  assert.deepEqual([...regionOffsets([2, 3], [{ axis: 1, start: -2 }]) ?? []], [1, 2, 4, 5]);
  assert.deepEqual(
    [...regionOffsets([2, 3, 2], [{ axis: 0, indices: [1] }, { axis: -1, end: 1 }]) ?? []],
    [6, 8, 10],
  );
  assert.deepEqual([...regionOffsets([4], [{ axis: 0, start: 3, end: 1 }]) ?? [0]], []);
  assert.deepEqual(
    [...regionOffsets([4], [{ axis: 0, start: 1 }, { axis: 0, end: 3 }]) ?? []],
    [1, 2],
  );
  assert.throws(() => regionOffsets([4], [{ axis: 1 }]), coded("HOOK_SHAPE", /axis 1/));
  assert.throws(
    () => regionOffsets([4], [{ axis: 0, indices: [4] }]),
    coded("HOOK_SHAPE", /index 4 of axis 0/),
  );
});

Deno.test("makeEdit() refuses a kind that loses or changes an argument: nothing that is saved comes back different", () => {
  const lossy = {
    kind: "lossy",
    serialise: ({ a }: { a: number; b?: number }) => ({ a }),
    parse: (reader: { number(name: string): number }): { a: number; b?: number } => ({
      a: reader.number("a"),
    }),
    apply: (activation: Tensor) => activation,
  };
  assert.throws(() => makeEdit(lossy, { a: 1, b: 2 }), coded("OPTION_INVALID", /argument "b"/));
  assert.throws(() => makeEdit(lossy, { a: -0 }), coded("OPTION_INVALID", /JSON cannot hold/));
  assert.equal(makeEdit(lossy, { a: 1 }).kind, "lossy");
  assert.throws(
    () => makeEdit({ ...lossy, kind: "Bad-Name" }, { a: 1 }),
    coded("OPTION_INVALID", /"Bad-Name"/),
  );
});

Deno.test("EditKinds knows kinds of your own, and names what it does not know", async () => {
  const power = {
    kind: "acme_power",
    serialise: ({ exponent }: { exponent: number }) => ({ exponent: jsonNumber(exponent) }),
    parse: (reader: { number(name: string): number }) => ({ exponent: reader.number("exponent") }),
    apply: (activation: Tensor, { exponent }: { exponent: number }) =>
      mapElements(activation, { what: "raise" }, (value) => value ** exponent),
  };
  const kinds = editKinds([power]);
  const edit = makeEdit(power, { exponent: 2 });
  const back = kinds.parse(JSON.parse(JSON.stringify(edit.serialise(new Kept()))), new Kept());
  const edited = await back.apply(float32([2], [3, -4]), {} as EditScope) as Tensor;
  assert.deepEqual([...edited.data], [9, 16]);
  assert.throws(
    () => editKinds().parse({ kind: "acme_power", exponent: 2 }, new Kept()),
    coded("OPTION_INVALID", /kind "acme_power": no such kind/),
  );
  assert.throws(() => editKinds([{ ...power, kind: "scale" }]), coded("OPTION_INVALID", /taken/));
  kinds.register(power); // the same again is harmless
});

Deno.test("EditKinds.parse() refuses missing, unknown and malformed arguments with their names", () => {
  const parse = (json: Record<string, JsonValue>) => () => editKinds().parse(json, new Kept());
  assert.throws(parse({ kind: "scale" }), coded("OPTION_INVALID", /"factor" is missing/));
  assert.throws(parse({ kind: "scale", factor: "2" }), coded("OPTION_INVALID", /another form/));
  assert.throws(
    parse({ kind: "scale", factor: 2, facter: 3 }),
    coded("OPTION_INVALID", /no argument "facter"/),
  );
  assert.throws(
    parse({ kind: "zero", at: [{ axes: 1 }] }),
    coded("OPTION_INVALID", /"at" is of another form/),
  );
  assert.throws(parse({ kind: "mean_ablate" }), coded("OPTION_INVALID", /either mean or axes/));
});
