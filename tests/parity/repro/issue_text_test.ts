import assert from "node:assert/strict";
import { type IssueFacts, issueText } from "../../../parity/repro/issue_text.ts";
import { tensorError } from "../../../parity/compare/tensor_error.ts";
import { float32 } from "../../../tensor/tensor.ts";

const FACTS: IssueFacts = {
  module: "encoder.layer.1",
  className: "BertLayer",
  call: 0,
  operators: ["MatMul"],
  referenceOperators: ["MatMul"],
  nodes: 1,
  nodesOfModel: 250,
  referenceModel: "fp32.onnx",
  candidateModel: "int8.onnx",
  inputs: [{ name: "x", type: "float32[2]" }],
  outputs: [{
    name: "y",
    type: "float32[2]",
    error: tensorError(float32([2], [1, 2]), float32([2], [1, 2.5])),
    tolerance: { rtol: 1e-5, atol: 1e-5 },
  }],
  problem: null,
  settings: ["onnxruntime-node 1.29.0"],
  hasReference: true,
  installs: "npm install --ignore-scripts",
};

Deno.test("issueText() says what is off, where, by how much, and how to see it", () => {
  const text = issueText(FACTS);
  assert.match(text, /^# MatMul is off by 0\.5 in `encoder\.layer\.1`\n/);
  assert.match(text, /`encoder\.layer\.1` \(BertLayer\), call 0/);
  assert.match(text, /1 of the model's\s+250 nodes \(0\.4 %/);
  assert.match(text, /\| `y` \| float32\[2\] \| 0\.5 \| 0\.25 \|/);
  assert.match(text, /npm install --ignore-scripts && node run\.mjs/);
  assert.match(text, /`reference\.onnx`/);
  assert.ok(text.split("\n").length < 60, "one page");
});

Deno.test("issueText() tells a NaN, a part that cannot run, and a missing reference", () => {
  const nan = tensorError(float32([1], [1]), float32([1], [NaN]));
  const output = FACTS.outputs[0] as IssueFacts["outputs"][number];
  assert.match(issueText({ ...FACTS, outputs: [{ ...output, error: nan }] }), /MatMul gives NaN/);
  const stuck = issueText({
    ...FACTS,
    outputs: [{ ...output, error: null }],
    problem: "the shapes do not fit",
    hasReference: false,
  });
  assert.match(stuck, /MatMul cannot run/);
  assert.match(stuck, /the shapes do not fit/);
  assert.doesNotMatch(stuck, /reference\.onnx/);
});

Deno.test("issueText() shortens a long list of operators", () => {
  const text = issueText({ ...FACTS, operators: Array(30).fill("Add") });
  assert.match(text, /and 18 more/);
});
