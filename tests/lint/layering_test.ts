// The layer table against good and bad imports, one line each.

import assert from "node:assert/strict";
import { MAY_IMPORT } from "../../lint/layering.ts";
import { diagnostics, findings } from "./lint_source.ts";

const LAYERING = "hookline/layering";
const ORT = "hookline/ort-containment";

const GOOD: readonly (readonly [string, string])[] = [
  ["tensor/tensor.ts", 'import { HooklineError } from "../errors/hookline_error.ts";'],
  ["graph/skim.ts", 'import { a } from "./wire.ts"; import { b } from "../tensor/dtype.ts";'],
  ["graph/skim.ts", 'import onnx from "onnx-buf"; import fs from "node:fs";'],
  ["hooks/order.ts", 'import type { E } from "../errors/codes.ts";'],
  ["sessions/native/library.ts", 'import { p } from "../provider.ts";'],
  ["manifest/grants.ts", 'import type { ModelHook } from "../hooks/model_hook.ts";'],
  ["host/environment.ts", 'import { HooklineError } from "../errors/hookline_error.ts";'],
  ["formats/jsonl_sink.ts", 'import { a } from "../host/environment.ts";'],
  ["pipeline/plan.ts", 'import { a } from "../graph/cut.ts"; import { b } from "../hooks/x.ts";'],
  ["pipeline/model.ts", 'import { a } from "../manifest/grants.ts";'],
  ["pipeline/environment.ts", 'await import("../plugins/activation_trace/mod.ts");'],
  ["mod.ts", 'await import("./plugins/activation-trace/mod.ts");'],
  ["parity/live.ts", 'import { a } from "../pipeline/model.ts"; import g from "../graph/cut.ts";'],
  ["plugins/first_block_cache/mod.ts", 'import { a } from "../../mod.ts";'],
  ["plugins/first_block_cache/mod.ts", 'import { a } from "@hookline/hookline";'],
  ["plugins/first_block_cache/mod.ts", 'import { a } from "./residual.ts";'],
  ["plugins/activation_trace/writer.ts", 'import { a } from "../../formats/jsonl.ts";'],
  ["mod.ts", 'export { openModel } from "./pipeline/model.ts";'],
  ["examples/01_hooks.ts", 'import { a } from "@hookline/hookline";'],
  ["examples/02_cache.ts", 'import { a } from "@hookline/hookline/plugins/first-block-cache";'],
  ["examples/03_npm.ts", 'import a from "npm:cli-progress@3"; import b from "node:fs";'],
  ["cli/main.ts", 'import { a } from "../plugins/activation_trace/mod.ts";'],
  ["tests/hooks/order_test.ts", 'import { a } from "../../hooks/order.ts";'],
  ["bench/main.ts", 'import ort from "onnxruntime-node"; import a from "../graph/cut.ts";'],
  ["sessions/ort_loader.ts", 'export const load = () => import("onnxruntime-node");'],
];

const BAD: readonly (readonly [string, string, string])[] = [
  ["errors/codes.ts", 'import { a } from "../tensor/dtype.ts";', LAYERING],
  ["tensor/tensor.ts", 'import { a } from "../formats/npy.ts";', LAYERING],
  ["graph/skim.ts", 'import { a } from "../hooks/order.ts";', LAYERING],
  ["graph/skim.ts", 'import type { a } from "../sessions/engine.ts";', LAYERING],
  ["hooks/order.ts", 'import { a } from "../graph/module_tree.ts";', LAYERING],
  ["hooks/order.ts", 'export { a } from "../pipeline/plan.ts";', LAYERING],
  ["sessions/native/library.ts", 'const a = await import("../../graph/cut.ts");', LAYERING],
  ["sessions/engine.ts", 'export type A = import("../graph/cut.ts").Cut;', LAYERING],
  ["formats/npy.ts", 'import { a } from "../mod.ts";', LAYERING],
  ["formats/npy.ts", 'import { a } from "@hookline/hookline";', LAYERING],
  ["host/environment.ts", 'import { a } from "../tensor/dtype.ts";', LAYERING],
  ["hooks/order.ts", 'import { a } from "../host/environment.ts";', LAYERING],
  ["graph/skim.ts", 'import { a } from "../host/versions.ts";', LAYERING],
  ["manifest/grants.ts", 'import { a } from "../pipeline/plan.ts";', LAYERING],
  ["pipeline/plan.ts", 'import { a } from "../parity/live.ts";', LAYERING],
  ["pipeline/run.ts", 'import { a } from "../plugins/activation_trace/mod.ts";', LAYERING],
  ["pipeline/run.ts", 'await import("../plugins/first_block_cache/mod.ts");', LAYERING],
  ["parity/live.ts", 'import { a } from "../manifest/grants.ts";', LAYERING],
  ["plugins/a/mod.ts", 'import { a } from "../b/mod.ts";', LAYERING],
  ["plugins/a/mod.ts", 'import { a } from "@hookline/hookline/plugins/b";', LAYERING],
  ["plugins/a/mod.ts", 'import { a } from "../../hooks/model_hook.ts";', LAYERING],
  ["mod.ts", 'export { a } from "./plugins/a/mod.ts";', LAYERING],
  ["mod.ts", 'export { a } from "@hookline/hookline/plugins/a";', LAYERING],
  ["mod.ts", 'export { a } from "./cli/main.ts";', LAYERING],
  ["examples/01_hooks.ts", 'import { a } from "../mod.ts";', LAYERING],
  ["misplaced/thing.ts", 'import { a } from "../errors/codes.ts";', LAYERING],
  ["sessions/napi_engine.ts", 'import ort from "onnxruntime-node";', ORT],
  ["sessions/napi_engine.ts", 'import type { Tensor } from "onnxruntime-common";', ORT],
  ["cli/doctor.ts", 'const ort = await import("npm:onnxruntime-node@1.29.0");', ORT],
  ["pipeline/model.ts", 'const ort = require("onnxruntime-node");', ORT],
];

for (const [path, source] of GOOD) {
  Deno.test(`layering accepts ${path}: ${source}`, () => {
    assert.deepEqual(findings(path, source), []);
  });
}

for (const [path, source, id] of BAD) {
  Deno.test(`${id} refuses ${path}: ${source}`, () => {
    assert.deepEqual(findings(path, source), [id]);
  });
}

Deno.test("layering names the rule, both files and the fix", () => {
  const [found] = diagnostics("graph/skim.ts", 'import { a } from "../hooks/order.ts";');
  assert.equal(found?.message, "layering: graph/skim.ts may not import hooks/order.ts");
  assert.match(found?.hint ?? "", /^graph\/ may import errors, tensor; move what is shared/);
});

Deno.test("layering holds no circle between layers below the command line", () => {
  const visit = (layer: string, path: readonly string[]): void => {
    assert.ok(!path.includes(layer), `circle: ${[...path, layer].join(" -> ")}`);
    const next = MAY_IMPORT[layer];
    assert.ok(next !== undefined, `${layer} has no row in the table`);
    if (next !== "*") { for (const below of next) visit(below, [...path, layer]); }
  };
  for (const layer of Object.keys(MAY_IMPORT)) visit(layer, []);
});
