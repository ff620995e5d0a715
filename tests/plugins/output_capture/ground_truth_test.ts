// Captures of unmodified exports equal what PyTorch's own forward hooks wrote.

import assert from "node:assert/strict";
import type { Tensor } from "../../../mod.ts";
import { outputCapture } from "../../../plugins/output_capture/mod.ts";
import { difference, fixture } from "./_models.ts";

const TOLERANCE = 1e-5;

interface Expected {
  readonly name: string;
  /** What stands before the first layer. */
  readonly first: string | null;
  readonly layer: (index: number) => string;
  readonly attention?: (index: number) => string;
}

const CASES: readonly Expected[] = [
  {
    name: "torch/bert",
    first: "embeddings",
    layer: (index) => `encoder.layer.${index}`,
    attention: (index) => `encoder.layer.${index}.attention.self.dropout`,
  },
  { name: "torch/gpt2_past", first: null, layer: (index) => `transformer.h.${index}[0]` },
  {
    name: "torch/vit",
    first: "encoder.dropout",
    layer: (index) => `encoder.layers.encoder_layer_${index}`,
  },
  { name: "exports/dynamo_bert", first: "embeddings", layer: (index) => `encoder.layer.${index}` },
  { name: "exports/dynamo_gpt2_past", first: null, layer: (index) => `transformer.h.${index}[0]` },
  {
    name: "exports/dynamo_vit",
    first: null,
    layer: (index) => `encoder.layers.encoder_layer_${index}`,
  },
];

for (const { name, first, layer, attention } of CASES) {
  Deno.test(`outputCapture() of ${name} without any declaration equals PyTorch's hidden states`, async () => {
    await using open = await fixture(name);
    const { model, feeds, truth } = open;
    const { captures } = await outputCapture(model).run(feeds, { hidden_states: true });
    const states = captures.hidden_states;
    assert.equal(states.length, 4);
    if (first !== null) assert.ok(difference(states[0], truth[first]) <= TOLERANCE, "first");
    for (const index of [0, 1, 2]) {
      const found = difference(states[index + 1], truth[layer(index)]);
      assert.ok(found <= TOLERANCE, `layer ${index} differs by ${found}`);
    }
  });

  Deno.test(`outputCapture() of ${name} without any declaration finds the attention weights`, async () => {
    await using open = await fixture(name);
    const { model, feeds, truth } = open;
    const plain = await model.run(feeds);
    const { captures, outputs } = await outputCapture(model).run(feeds, { attentions: true });
    assert.equal(captures.attentions.length, 3);
    for (const [index, weights] of captures.attentions.entries()) {
      assert.ok(weights);
      assertRowsSumToOne(weights);
      if (attention === undefined) continue;
      const found = difference(weights, truth[attention(index)]);
      assert.ok(found <= TOLERANCE, `layer ${index} differs by ${found}`);
    }
    for (const [output, value] of Object.entries(plain)) {
      assert.ok(difference(outputs[output], value) <= TOLERANCE, output);
    }
  });
}

Deno.test("outputCapture() of torch/gpt2_past gives the weights that mix its values", async () => {
  await using open = await fixture("torch/gpt2_past");
  const { model, feeds } = open;
  const capture = outputCapture(model, {
    keys: {
      attentions: "transformer.h.*.attn::Softmax",
      mixed: { target: "transformer.h.*.attn.c_proj", of: "input" },
    },
  });
  const { captures, outputs } = await capture.run(feeds, { attentions: true, mixed: true });
  for (const layer of [0, 1, 2]) {
    const mixed = mix(captures.attentions[layer], outputs[`present.${layer}.value`]);
    assert.ok(difference(captures.mixed[layer], mixed) <= TOLERANCE, `layer ${layer}`);
  }
});

Deno.test("outputCapture() by any selector equals every live module's truth in unet", async () => {
  await using open = await fixture("torch/unet");
  const { model, feeds, truth } = open;
  assert.deepEqual(outputCapture(model).keys, []);
  const paths = model.modules.filter(({ path, calls }) => calls.length > 0 && path in truth)
    .map(({ path }) => path);
  assert.equal(paths.length, 53);
  const capture = outputCapture(model, { keys: { modules: { target: paths } } });
  const { captures } = await capture.run(feeds, { modules: true });
  assert.equal(captures.modules.length, paths.length);
  for (const one of captures.modules) {
    const found = difference(one, truth[one?.module ?? ""]);
    assert.ok(found <= TOLERANCE, `${one?.module} differs by ${found}`);
  }
});

Deno.test("outputCapture() finds layers by class where the file records classes", async () => {
  await using open = await fixture("exports/dynamo_bert");
  const { model, feeds, truth } = open;
  const capture = outputCapture(model, {
    keys: { hidden_states: "Layer", attentions: "SelfAttention", queries: "class:Linear" },
  });
  const { captures } = await capture.run(feeds, { hidden_states: true, attentions: [0] });
  assert.ok(difference(captures.hidden_states[3], truth["encoder.layer.2"]) <= TOLERANCE);
  assert.ok(captures.attentions[0]);
  assert.equal(captures.attentions[1], null);
});

for (const name of ["exports/dynamo_tied", "exports/tied_merged"]) {
  Deno.test(`outputCapture() of ${name} gives every call of a layer that is called three times`, async () => {
    await using open = await fixture(name);
    const { model, feeds, truth } = open;
    const capture = outputCapture(model, {
      keys: { hidden_states: "encoder.shared", attentions: "encoder.shared.attention.self" },
    });
    const { captures, records } = await capture.run(feeds, {
      hidden_states: true,
      attentions: true,
    });
    assert.deepEqual(
      records.map((record) => record.name).filter((one) => one.startsWith("hidden")),
      [
        capture.positions("hidden_states")[0],
        "hidden_states/encoder.shared",
        "hidden_states/encoder.shared#1",
        "hidden_states/encoder.shared#2",
      ],
    );
    for (const [call, suffix] of ["", "#1", "#2"].entries()) {
      const found = difference(captures.hidden_states[call + 1], truth[`encoder.shared${suffix}`]);
      assert.ok(found <= TOLERANCE, `call ${call} differs by ${found}`);
    }
    assert.equal(captures.attentions.length, 3);
    for (const weights of captures.attentions) assertRowsSumToOne(weights as Tensor);
  });
}

function assertRowsSumToOne({ data, shape }: Tensor): void {
  const width = shape.at(-1) ?? 1;
  const values = data as Float32Array;
  for (let row = 0; row < values.length / width; row++) {
    const sum = values.subarray(row * width, (row + 1) * width).reduce((all, one) => all + one, 0);
    assert.ok(Math.abs(sum - 1) <= 1e-5, `row ${row} sums to ${sum}`);
  }
}

/** [b, h, s, t] weights and [b, h, t, d] values to [b, s, h·d], heads side by side. */
function mix(weights: Tensor | null | undefined, values: Tensor | undefined): Tensor {
  assert.ok(weights && values);
  const [b, h, s, t] = weights.shape as [number, number, number, number];
  const d = values.shape[3] as number;
  const [w, v] = [weights.data as Float32Array, values.data as Float32Array];
  const data = new Float32Array(b * s * h * d);
  for (let i = 0; i < b * h * s * d; i++) {
    const [at, head, row, column] = [
      Math.floor(i / (h * s * d)),
      Math.floor(i / (s * d)) % h,
      Math.floor(i / d) % s,
      i % d,
    ];
    let sum = 0;
    for (let k = 0; k < t; k++) {
      sum += (w[((at * h + head) * s + row) * t + k] ?? NaN) *
        (v[((at * h + head) * t + k) * d + column] ?? NaN);
    }
    data[(at * s + row) * h * d + head * d + column] = sum;
  }
  return { dtype: "float32", shape: [b, s, h * d], data };
}
