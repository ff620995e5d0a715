import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { type NodeProto, NodeProtoSchema } from "onnx-buf";
import { nameScopesOf, parsePythonStringList, shortClassName } from "../../graph/name_scopes.ts";

function nodeWith(metadata: Record<string, string>): NodeProto {
  return create(NodeProtoSchema, {
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  });
}

Deno.test("parsePythonStringList() reads both quotes, escapes and tuples", () => {
  assert.deepEqual(parsePythonStringList("['', 'network', 'network.0']"), [
    "",
    "network",
    "network.0",
  ]);
  assert.deepEqual(parsePythonStringList(`["it's", 'a "b"']`), ["it's", 'a "b"']);
  assert.deepEqual(parsePythonStringList(String.raw`['\\', '\'', '\x41\u00e9\U0001f600\n\101']`), [
    "\\",
    "'",
    "Aé😀\nA",
  ]);
  assert.deepEqual(parsePythonStringList("('a',)"), ["a"]);
  assert.deepEqual(parsePythonStringList("[]"), []);
  assert.deepEqual(parsePythonStringList(String.raw`['\q']`), ["\\q"]);
});

Deno.test("parsePythonStringList() gives null for everything else", () => {
  for (
    const text of [
      "",
      "[",
      "['a'",
      "['a' 'b']",
      "['a'] x",
      "[1]",
      "'a'",
      "['a]",
      String.raw`['\x4']`,
    ]
  ) assert.equal(parsePythonStringList(text), null, text);
});

Deno.test("parsePythonStringList() reads what a Python repr writes", () => {
  const repr = (text: string): string =>
    `'${
      text.replaceAll("\\", "\\\\").replaceAll("'", "\\'").replaceAll("\n", "\\n")
        .replaceAll("\r", "\\r")
    }'`;
  fc.assert(fc.property(fc.array(fc.string()), (items) => {
    assert.deepEqual(parsePythonStringList(`[${items.map(repr).join(", ")}]`), items);
  }));
});

Deno.test("parsePythonStringList() never throws", () => {
  fc.assert(fc.property(fc.string(), (text) => {
    parsePythonStringList(text);
    parsePythonStringList(`['${text}`);
  }));
});

Deno.test("nameScopesOf() drops the operator's own entry and shortens classes", () => {
  assert.deepEqual(
    nameScopesOf(nodeWith({
      "pkg.torch.onnx.name_scopes": "['', 'network', 'network.0', 'linear']",
      "pkg.torch.onnx.class_hierarchy":
        "['__main__.Net', 'torch.nn.modules.container.Sequential', 'torch.nn.modules.linear.Linear', 'aten.linear.default']",
    })),
    { paths: ["", "network", "network.0"], classes: ["Net", "Sequential", "Linear"] },
  );
});

Deno.test("nameScopesOf() reads the namespace where the lists are missing", () => {
  assert.deepEqual(
    nameScopesOf(nodeWith({
      namespace: ": __main__.Net/proj: torch.nn.modules.linear.Linear/linear: aten.linear.default",
    })),
    { paths: ["", "proj"], classes: ["Net", "Linear"] },
  );
});

Deno.test("nameScopesOf() is null without a scope: torch.cond's bodies name only the operator", () => {
  assert.equal(nameScopesOf(nodeWith({ "pkg.torch.onnx.name_scopes": "['pad']" })), null);
  assert.equal(nameScopesOf(nodeWith({ "pkg.torch.onnx.name_scopes": "['', 'x" })), null);
  assert.equal(nameScopesOf(nodeWith({})), null);
});

Deno.test("shortClassName() takes the last part of a class, not of an operator", () => {
  assert.equal(shortClassName("torch.nn.modules.linear.Linear"), "Linear");
  assert.equal(shortClassName("<class 'torch.nn.Linear'>"), "Linear");
  assert.equal(shortClassName(""), null);
});
