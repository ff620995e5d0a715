import assert from "node:assert/strict";
import fc from "fast-check";
import { TraceAligner } from "../../parity/trace_alignment.ts";
import type { TraceRecord } from "../../parity/trace_statistics.ts";

interface Key {
  readonly module: string;
  readonly tensor?: string;
  readonly step?: number | null;
  readonly call?: number;
}

interface Aligned {
  readonly pairs: (readonly [number, number])[];
  readonly lost: { readonly reference: number; readonly candidate: number };
  readonly aligner: TraceAligner;
}

/** Gives both sides' records, one of each in turn, numbered from 0. */
function align(
  reference: readonly Key[],
  candidate: readonly Key[],
  { window = 64, isNumbered = false } = {},
): Aligned {
  const pairs: (readonly [number, number])[] = [];
  const aligner = new TraceAligner({
    window,
    isNumbered,
    rename: (path) => path,
    onPair: (one, other) => void pairs.push([one.line, other.line]),
  });
  const record = (key: Key): TraceRecord => ({ tensor: "out", step: null, ...key });
  for (let at = 0; at < Math.max(reference.length, candidate.length); at++) {
    const [one, other] = [reference[at], candidate[at]];
    if (one !== undefined) aligner.add("reference", record(one), at);
    if (other !== undefined) aligner.add("candidate", record(other), at);
  }
  aligner.finish();
  const lost = { reference: 0, candidate: 0 };
  for (const { tensors } of aligner.modules.values()) {
    for (const entry of tensors.values()) {
      lost.reference += entry.reference.lost?.count ?? 0;
      lost.candidate += entry.candidate.lost?.count ?? 0;
    }
  }
  assert.deepEqual([aligner.waitingCount("reference"), aligner.waitingCount("candidate")], [0, 0]);
  return { pairs: pairs.sort(([one], [other]) => one - other), lost, aligner };
}

const A = { module: "a" };
const B = { module: "b" };

Deno.test("TraceAligner pairs the k-th occurrence with the k-th", () => {
  const { pairs, lost } = align([A, A, B, A], [B, A, A, A]);
  assert.deepEqual(pairs, [[0, 1], [1, 2], [2, 0], [3, 3]]);
  assert.deepEqual(lost, { reference: 0, candidate: 0 });
});

Deno.test("TraceAligner counts calls within a step, also of one that comes again", () => {
  const steps = (...list: (number | null)[]): Key[] => list.map((step) => ({ ...A, step }));
  const numbers: number[] = [];
  const aligner = new TraceAligner({
    window: 8,
    isNumbered: false,
    rename: (path) => path,
    onPair: ({ call }) => void numbers.push(call),
  });
  for (const key of steps(0, 0, 1, 1, 0, 1, null, 5, null, 1, 5)) {
    for (const side of ["reference", "candidate"] as const) {
      aligner.add(side, { tensor: "out", ...key }, 0);
    }
  }
  assert.deepEqual(numbers, [0, 1, 0, 1, 2, 2, 0, 0, 1, 3, 1]);
});

Deno.test("TraceAligner goes by the files' own numbers where both have them", () => {
  const calls = (...list: number[]): Key[] => list.map((call) => ({ ...A, call }));
  const { pairs, lost } = align(calls(4, 5, 6), calls(6, 4), { isNumbered: true });
  assert.deepEqual(pairs, [[0, 1], [2, 0]]);
  assert.deepEqual(lost, { reference: 1, candidate: 0 });
});

Deno.test("TraceAligner keeps steps and tensors apart", () => {
  const { pairs, lost } = align(
    [{ ...A, step: 0 }, { ...A, step: 1 }, { ...A, tensor: "out[1]" }],
    [{ ...A, step: 1 }, { ...A, tensor: "out[2]" }, { ...A, step: 2 }],
  );
  assert.deepEqual(pairs, [[1, 0]]);
  assert.deepEqual(lost, { reference: 2, candidate: 2 });
});

Deno.test("TraceAligner takes out and out[0] for one where a module has only one of them", () => {
  for (const [one, other] of [["out", "out[0]"], ["out[0]", "out"]] as const) {
    const { pairs, aligner } = align(
      [B, { ...A, tensor: one }, { ...A, tensor: one }],
      [{ ...A, tensor: other }, { ...A, tensor: other }, B],
    );
    assert.deepEqual(pairs, [[0, 2], [1, 0], [2, 1]]);
    assert.deepEqual(aligner.modules.get("a")?.labels, [[one, other]]);
  }
});

Deno.test("TraceAligner gives a record up when a window of its own file has gone by", () => {
  const far = (count: number): Key[] =>
    Array.from({ length: count }, (_, at) => ({ module: `m${at}` }));
  const reference = [A, ...far(7)];
  assert.deepEqual(align(reference, [...far(7), A], { window: 8 }).pairs.length, 8);
  const beyond = align([A, ...far(8)], [...far(8), A], { window: 8 });
  assert.deepEqual(beyond.pairs.length, 8);
  assert.deepEqual(beyond.lost, { reference: 1, candidate: 1 });
});

Deno.test("TraceAligner pairs any order within the window, and every record once", () => {
  const key = fc.record({
    module: fc.constantFrom("a", "b", "c"),
    tensor: fc.constantFrom("out[1]", "out[2]"),
    step: fc.constantFrom(null, 0, 1),
  });
  fc.assert(fc.property(
    fc.array(key, { maxLength: 30 }).chain((keys) =>
      fc.tuple(fc.constant(keys), fc.shuffledSubarray(keys, { minLength: 0 }))
    ),
    ([reference, candidate]) => {
      const { pairs, lost } = align(reference, candidate);
      assert.equal(new Set(pairs.map(([one]) => one)).size, pairs.length);
      assert.equal(new Set(pairs.map(([, other]) => other)).size, pairs.length);
      assert.equal(pairs.length, candidate.length);
      assert.deepEqual(lost, { reference: reference.length - candidate.length, candidate: 0 });
      for (const [one, other] of pairs) {
        assert.equal(JSON.stringify(reference[one]), JSON.stringify(candidate[other]));
      }
    },
  ));
});

Deno.test("TraceAligner refuses a file in which every record is of another module", () => {
  const aligner = new TraceAligner({
    window: 4,
    isNumbered: false,
    rename: (path) => path,
    onPair: () => {},
  });
  assert.throws(() => {
    for (let at = 0; at <= 200_000; at++) {
      aligner.add("reference", { module: `m${at}`, tensor: "out" }, at);
    }
  }, { code: "FILE_FORMAT" });
});
