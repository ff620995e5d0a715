import assert from "node:assert/strict";
import { clone } from "@bufbuild/protobuf";
import fc from "fast-check";
import { type GraphProto, GraphProtoSchema } from "onnx-buf";
import { blockForm, blockHash } from "../../graph/block_hash.ts";
import { ModelGraph } from "../../graph/model_graph.ts";
import {
  attributes,
  callOf,
  external,
  float32,
  type GraphInit,
  graphOf,
  int64,
  type TensorInit,
  wholeCall,
} from "./_graphs.ts";

function hashOf(init: GraphInit): string {
  const graph = graphOf(init);
  return blockHash(graph, wholeCall(graph));
}

function formOf(init: GraphInit) {
  const graph = graphOf(init);
  return blockForm(graph, wholeCall(graph));
}

/** x → Op(x, constants…) → y */
function unary(opType: string, ...constants: readonly TensorInit[]): GraphInit {
  return {
    input: [{ name: "x" }],
    output: [{ name: "y" }],
    initializer: [...constants],
    node: [{ opType, input: ["x", ...constants.map((one) => one.name ?? "")], output: ["y"] }],
  };
}

/** A linear layer with an activation, a residual and a reshape, by prefix of all names. */
function block(prefix: string, more: Partial<Record<string, unknown>> = {}): GraphInit {
  const p = (name: string) => prefix + name;
  const axis = (more["axis"] ?? 1) as number;
  const width = (more["width"] ?? 8) as number;
  return {
    name: p("graph"),
    docString: p("doc"),
    input: [{ name: p("x") }, { name: p("skip") }],
    output: [{ name: p("out") }],
    initializer: [
      float32(p("w"), [8, width], (more["fill"] ?? 1) as number),
      float32(p("b"), [width]),
      int64(p("shape"), (more["shape"] ?? [2, -1]) as number[]),
      float32(p("eps"), [], (more["eps"] ?? 1e-5) as number),
    ],
    node: [
      { name: p("mm"), opType: "MatMul", input: [p("x"), p("w")], output: [p("m")] },
      { name: p("add"), opType: "Add", input: [p("m"), p("b")], output: [p("a")] },
      {
        name: p("soft"),
        docString: p("doc"),
        metadataProps: [{ key: "k", value: prefix }],
        opType: (more["op"] ?? "Softmax") as string,
        domain: (more["domain"] ?? "") as string,
        input: [p("a")],
        output: [p("s")],
        attribute: attributes({ axis, mode: "linear", pads: [0, 1] }),
      },
      {
        opType: "Add",
        input: more["swap"] === true ? [p("skip"), p("s")] : [p("s"), p("skip")],
        output: [p("r")],
      },
      { opType: "Add", input: [p("r"), p("eps")], output: [p("e")] },
      { opType: "Reshape", input: [p("e"), p("shape")], output: [p("out")] },
    ],
  };
}

const BLOCK = hashOf(block(""));

Deno.test("blockHash() is SHA-256 in hexadecimal and the same in every run", () => {
  assert.match(BLOCK, /^[0-9a-f]{64}$/);
  assert.equal(hashOf(block("")), BLOCK);
});

Deno.test("blockHash() does not count names, documentation, metadata and weights' values", () => {
  fc.assert(fc.property(fc.string({ minLength: 1, maxLength: 8 }), fc.float(), (prefix, fill) => {
    assert.equal(hashOf(block(prefix, { fill })), BLOCK);
  }));
  assert.equal(hashOf({ ...block("n"), valueInfo: [{ name: "nm" }] }), BLOCK);
});

Deno.test("blockHash() counts operators, domains, attributes, wiring, shapes and small constants", () => {
  const others = [
    { op: "LogSoftmax" },
    { domain: "com.microsoft" },
    { axis: 2 },
    { swap: true },
    { width: 4 },
    { shape: [2, 2] },
    { shape: [2, -1, 1] },
    { eps: 1e-6 },
  ];
  const hashes = others.map((more) => hashOf(block("", more)));
  assert.equal(new Set([BLOCK, ...hashes]).size, others.length + 1);
});

Deno.test("blockHash() takes ai.onnx for the standard domain", () => {
  assert.equal(hashOf(block("", { domain: "ai.onnx" })), BLOCK);
});

Deno.test("blockHash() changes with any change to a random graph, and with nothing else", () => {
  const shape = fc.record({
    size: fc.integer({ min: 3, max: 12 }),
    seed: fc.integer({ min: 1, max: 2 ** 30 }),
  });
  fc.assert(
    fc.property(shape, fc.nat(), fc.nat(3), ({ size, seed }, at, kind) => {
      const original = randomGraph(size, seed);
      const renamed = rename(original, (name) => `r/${name}`);
      const graph = new ModelGraph(original, { label: "test" });
      const other = new ModelGraph(renamed, { label: "test" });
      const hash = blockHash(graph, wholeCall(graph));
      assert.equal(blockHash(other, wholeCall(other)), hash);

      const changed = clone(GraphProtoSchema, original);
      const node = changed.node[at % changed.node.length];
      const weight = changed.initializer[at % changed.initializer.length];
      assert.ok(node !== undefined && weight !== undefined);
      if (kind === 0) node.opType += "X";
      else if (kind === 1) node.attribute.push(...attributes({ extra: 1 }));
      else if (kind === 2) node.input.push("x");
      else {
        weight.dims = [...weight.dims, 1n];
        if (!changed.node.some(({ input }) => input.includes(weight.name))) return;
      }
      const third = new ModelGraph(changed, { label: "test" });
      assert.notEqual(blockHash(third, wholeCall(third)), hash, `kind ${kind}`);
    }),
    { numRuns: 300 },
  );
});

/** A chain with random extra edges; every node reads at least one earlier value. */
function randomGraph(size: number, seed: number): GraphProto {
  let state = seed;
  const next = (bound: number) => (state = (state * 48271) % 2147483647) % bound;
  const values = ["x", "w0", "w1"];
  const init = {
    input: [{ name: "x" }],
    output: [{ name: `n${size - 1}` }],
    initializer: [float32("w0", [3, 2]), float32("w1", [5])],
    node: Array.from({ length: size }, (_, index) => {
      const input = [
        "x",
        ...Array.from({ length: 1 + next(2) }, () => values[next(values.length)]),
      ];
      values.push(`n${index}`);
      return {
        name: `node${index}`,
        opType: ["Add", "Mul", "Concat"][next(3)] ?? "",
        input: input.map((name) => name ?? "x"),
        output: [`n${index}`],
        attribute: attributes({ axis: next(3) }),
      };
    }),
  };
  return graphOf(init).proto;
}

function rename(graph: GraphProto, to: (name: string) => string): GraphProto {
  const copy = clone(GraphProtoSchema, graph);
  for (const value of [...copy.input, ...copy.output]) value.name = to(value.name);
  for (const tensor of copy.initializer) tensor.name = to(tensor.name);
  copy.initializer.reverse(); // the order of declarations says nothing
  for (const node of copy.node) {
    node.name = to(node.name);
    node.input = node.input.map(to);
    node.output = node.output.map(to);
    node.attribute.reverse();
  }
  return copy;
}

Deno.test("blockHash() counts which tensors by value: one element, or few integers, bools, texts", () => {
  const bytes = (dataType: number, dims: number[], rawData: number[]): TensorInit => ({
    name: "c",
    dims: dims.map(BigInt),
    dataType,
    rawData: Uint8Array.from(rawData),
  });
  const text = (value: string): TensorInit => ({
    name: "c",
    dims: [1n],
    dataType: 8,
    stringData: [new TextEncoder().encode(value)],
  });
  const pairs: readonly (readonly [string, TensorInit, TensorInit, boolean])[] = [
    ["float scalar", float32("c", [], 1), float32("c", [], 2), true],
    ["float, one element", float32("c", [1, 1], 1), float32("c", [1, 1], 2), true],
    ["floats", float32("c", [2], 1), float32("c", [2], 2), false],
    ["int64", int64("c", [1, 2]), int64("c", [2, 1]), true],
    ["int64, scalar or not", int64("c", [1]), int64("c", [1], true), true],
    [
      "int32",
      bytes(6, [2], [1, 0, 0, 0, 2, 0, 0, 0]),
      bytes(6, [2], [1, 0, 0, 0, 3, 0, 0, 0]),
      true,
    ],
    ["bool", bytes(9, [2], [0, 1]), bytes(9, [2], [1, 1]), true],
    ["text", text("a"), text("b"), true],
    ["int8 weights", bytes(3, [2], [0, 1]), bytes(3, [2], [1, 1]), false],
    ["uint8, one element", bytes(2, [1], [0]), bytes(2, [1], [1]), true],
    ["dtype", bytes(2, [2], [0, 1]), bytes(3, [2], [0, 1]), true],
    ["float16", bytes(10, [2], [0, 1, 0, 0]), bytes(16, [2], [0, 1, 0, 0]), true],
    ["no elements", float32("c", [0]), float32("c", [0, 2]), true],
  ];
  for (const [what, left, right, isDifferent] of pairs) {
    assert.equal(hashOf(unary("Op", left)) !== hashOf(unary("Op", right)), isDifferent, what);
  }
});

Deno.test("blockHash() reads raw_data and typed fields alike", () => {
  const scalar = (dataType: number, more: TensorInit): TensorInit => ({
    name: "c",
    dataType,
    ...more,
  });
  const raw = (buffer: ArrayBuffer) => ({ rawData: new Uint8Array(buffer) });
  const cases: readonly (readonly [TensorInit, TensorInit])[] = [
    [scalar(1, { floatData: [1.5] }), scalar(1, raw(Float32Array.of(1.5).buffer))],
    [scalar(1, { floatData: [-0] }), scalar(1, raw(Float32Array.of(-0).buffer))],
    [scalar(11, { doubleData: [0.1] }), scalar(11, raw(Float64Array.of(0.1).buffer))],
    [scalar(7, { int64Data: [-3n] }), scalar(7, raw(BigInt64Array.of(-3n).buffer))],
    [scalar(6, { int32Data: [-3] }), scalar(6, raw(Int32Array.of(-3).buffer))],
    [scalar(3, { int32Data: [-3] }), scalar(3, raw(Int8Array.of(-3).buffer))],
    [scalar(9, { int32Data: [1] }), scalar(9, raw(Uint8Array.of(1).buffer))],
    [scalar(10, { int32Data: [15360] }), scalar(10, raw(Uint16Array.of(15360).buffer))],
    [scalar(12, { uint64Data: [7n] }), scalar(12, raw(Uint32Array.of(7).buffer))],
    [scalar(13, { uint64Data: [7n] }), scalar(13, raw(BigUint64Array.of(7n).buffer))],
  ];
  for (const [typed, packed] of cases) {
    assert.equal(hashOf(unary("Op", typed)), hashOf(unary("Op", packed)), `type ${typed.dataType}`);
  }
  assert.notEqual(
    hashOf(unary("Op", scalar(1, { floatData: [0] }))),
    hashOf(unary("Op", scalar(1, { floatData: [-0] }))),
  );
});

Deno.test("blockHash() never reads external data, and takes size for the measure inside a file", () => {
  const far = (dims: readonly number[], offset: number) =>
    unary("Op", external("c", 1, dims, offset));
  assert.equal(hashOf(far([4, 4], 0)), hashOf(far([4, 4], 64)));
  assert.equal(hashOf(far([4, 4], 0)), hashOf(unary("Op", float32("c", [4, 4]))));
  assert.notEqual(hashOf(far([4, 4], 0)), hashOf(far([16], 0)));
  assert.equal(
    hashOf(unary("Op", external("c", 7, [3], 0))),
    hashOf(unary("Op", external("c", 7, [3], 8))),
  );
  // A model given as bytes keeps views of tensors that a file's skeleton would leave in the file.
  const table = (fill: number): TensorInit => ({
    ...int64("c", new Array(200).fill(fill)),
    dims: [2n, 100n],
  });
  assert.equal(hashOf(unary("Op", table(1))), hashOf(unary("Op", table(2))));
  assert.equal(hashOf(unary("Op", table(1))), hashOf(unary("Op", external("c", 7, [2, 100]))));
});

Deno.test("blockHash() counts a constant the same as initializer, Constant node, shared or repeated", () => {
  const constantNode = (tensor: TensorInit) => ({
    opType: "Constant",
    output: [tensor.name ?? ""],
    attribute: attributes({ value: { type: 4, t: { ...tensor, name: "inner" } } as never }),
  });
  const twice = (initializer: TensorInit[], nodes: TensorInit[], left: string, right: string) =>
    hashOf({
      input: [{ name: "x" }],
      output: [{ name: "y" }],
      initializer,
      node: [
        ...nodes.map(constantNode),
        { opType: "Op", input: ["x", left], output: ["m"] },
        { opType: "Op", input: ["m", right], output: ["y"] },
      ],
    });
  const shared = twice([int64("c", [1])], [], "c", "c");
  assert.equal(twice([int64("c", [1]), int64("d", [1])], [], "c", "d"), shared);
  assert.equal(twice([], [int64("c", [1])], "c", "c"), shared);
  assert.equal(twice([int64("d", [1])], [int64("c", [1])], "c", "d"), shared);
  const weights = twice([float32("c", [4]), float32("d", [4])], [], "c", "d");
  assert.equal(twice([float32("c", [4])], [float32("d", [4])], "c", "d"), weights);
  assert.notEqual(twice([float32("c", [4])], [], "c", "c"), weights, "a weight is itself");
});

Deno.test("blockHash() follows constant nodes, wherever they stand and however many there are", () => {
  const folded = (length: number, op: string, before: number) => {
    const chain = Array.from({ length }, (_, index) => ({
      opType: index === before ? op : "Neg",
      input: [`c${index}`],
      output: [`c${index + 1}`],
    }));
    return graphOf({
      input: [{ name: "x" }],
      output: [{ name: "y" }],
      initializer: [float32("c0", [4])],
      node: [...chain, { opType: "Op", input: ["x", `c${length}`], output: ["y"] }],
    });
  };
  const last = (graph: ModelGraph) => callOf(graph, [graph.nodes.length - 1]);
  const plain = folded(5, "Neg", 2);
  assert.equal(blockHash(plain, last(plain)), blockHash(plain, wholeCall(plain)));
  const other = folded(5, "Abs", 2);
  assert.notEqual(blockHash(plain, last(plain)), blockHash(other, last(other)));
  const long = folded(50_000, "Neg", 0);
  assert.match(blockHash(long, last(long)), /^[0-9a-f]{64}$/);
});

Deno.test("blockHash() counts inputs and outputs, their order and their gaps", () => {
  const graph = graphOf({
    input: [{ name: "a" }, { name: "b" }],
    output: [{ name: "y" }, { name: "z" }],
    node: [{ opType: "Op", input: ["a", "b"], output: ["y", "z"] }],
  });
  const call = wholeCall(graph);
  const hashes = [
    call,
    { ...call, inputs: ["b", "a"] },
    { ...call, outputs: ["z", "y"] },
    { ...call, outputs: ["y"] },
    { ...call, inputs: ["a"] },
  ].map((one) => blockHash(graph, one));
  assert.equal(new Set(hashes).size, hashes.length);
  const gap = (input: string[], output: string[]) =>
    hashOf({
      input: [{ name: "x" }],
      output: [{ name: "y" }],
      node: [{ opType: "Op", input, output }],
    });
  assert.equal(gap(["x"], ["y"]), gap(["x", ""], ["y", ""]));
  assert.notEqual(gap(["x"], ["y"]), gap(["", "x"], ["y"]));
  assert.notEqual(gap(["x"], ["y"]), gap(["x"], ["", "y"]));
});

/** if (cond) then Op(x, w) else x */
function branching(
  prefix: string,
  more: { op?: string; weight?: TensorInit; capture?: string } = {},
): GraphInit {
  const weight = more.weight ?? float32(`${prefix}w`, [4]);
  const p = (name: string) => prefix + name;
  return {
    input: [{ name: p("cond") }, { name: p("x") }, { name: p("z") }],
    output: [{ name: p("y") }],
    node: [
      { opType: "Abs", input: [p("x")], output: [p("a")] },
      {
        opType: "If",
        input: [p("cond")],
        output: [p("y")],
        attribute: attributes({
          then_branch: {
            type: 5,
            g: {
              name: p("then"),
              initializer: [weight],
              output: [{ name: p("t") }],
              node: [{
                opType: more.op ?? "Mul",
                input: [p(more.capture ?? "a"), weight.name ?? ""],
                output: [p("t")],
              }],
            },
          } as never,
          else_branch: {
            type: 5,
            g: {
              name: p("else"),
              output: [{ name: p("e") }],
              node: [{ opType: "Identity", input: [p("z")], output: [p("e")] }],
            },
          } as never,
        }),
      },
    ],
  };
}

Deno.test("blockHash() follows bodies: operators, captures, weights", () => {
  const plain = hashOf(branching(""));
  assert.equal(hashOf(branching("n/")), plain);
  const others = [
    branching("", { op: "Add" }),
    branching("", { capture: "x" }),
    branching("", { weight: float32("w", [5]) }),
    branching("", { weight: int64("w", [5]) }),
    branching("", { weight: int64("w", [6]) }),
  ].map(hashOf);
  assert.equal(new Set([plain, ...others]).size, others.length + 1);
});

Deno.test("blockForm() lists the weights that a shared session would take as inputs", () => {
  const form = formOf(block("p."));
  assert.equal(form.hash, BLOCK);
  assert.deepEqual(form.weights, ["p.w", "p.b"]);
  assert.equal(form.hasFixedWeights, false);
  assert.ok(Object.isFrozen(form) && Object.isFrozen(form.weights));
  const body = formOf(branching(""));
  assert.deepEqual([body.weights, body.hasFixedWeights], [[], true]);
  assert.equal(formOf(branching("", { weight: int64("w", [1]) })).hasFixedWeights, false);
});

Deno.test("blockForm() says when an attribute or a sparse initializer holds weights", () => {
  const held = (t: TensorInit): GraphInit => ({
    input: [{ name: "x" }],
    output: [{ name: "y" }],
    node: [{
      opType: "TreeEnsemble",
      domain: "ai.onnx.ml",
      input: ["x"],
      output: ["y"],
      attribute: attributes({ nodes_splits: { type: 4, t } as never }),
    }],
  });
  assert.equal(formOf(held(float32("t", [4]))).hasFixedWeights, false, "small: counted by value");
  assert.notEqual(hashOf(held(float32("t", [4], 1))), hashOf(held(float32("t", [4], 2))));
  assert.equal(formOf(held(external("t", 1, [4]))).hasFixedWeights, true);
  assert.equal(formOf(held(float32("t", [400]))).hasFixedWeights, true);
  const sparse = (size: number): GraphInit => ({
    ...unary("Op"),
    node: [{ opType: "Op", input: ["x", "s"], output: ["y"] }],
    sparseInitializer: [{
      dims: [BigInt(size)],
      values: float32("s", [2]),
      indices: int64("", [0, 3]),
    }],
  });
  assert.equal(formOf(sparse(8)).hasFixedWeights, true);
  assert.notEqual(hashOf(sparse(8)), hashOf(sparse(9)));
});

Deno.test("blockHash() works on a call inside a body, whose constants may lie outside", () => {
  const whole = (weight: TensorInit) => {
    const init = branching("", { weight: float32("inner", [4]) });
    const graph = graphOf({ ...init, initializer: [weight] });
    const body = graph.nodes[1]?.bodies[0]?.graph;
    assert.ok(body);
    return blockForm(body, callOf(body, [0]));
  };
  assert.deepEqual(whole(float32("outer", [4])).weights, ["inner"]);
});
