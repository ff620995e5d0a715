import assert from "node:assert/strict";
import { firstUsefulLine, sessionCreateError } from "../../sessions/session_errors.ts";

const SETTINGS = {
  provider: "cpu",
  optimization: "all",
  threads: 1,
  prepacking: true,
  label: "segment 3: h.1",
} as const;

Deno.test("firstUsefulLine() keeps the reason and drops the C++ check before it", () => {
  assert.equal(
    firstUsefulLine(
      "Exception during initialization: /onnxruntime_src/onnxruntime/core/optimizer/initializer.cc:44 onnxruntime::Initializer::Initializer(const onnx::TensorProto&) !model_path.empty() was false. model_path must not be empty. Ensure that a path is provided.\n",
    ),
    "Exception during initialization: model_path must not be empty. Ensure that a path is provided",
  );
});

Deno.test("firstUsefulLine() takes the first of many lines, without the status prefix", () => {
  assert.equal(
    firstUsefulLine(
      "[ONNXRuntimeError] : 1 : FAIL : \n Got invalid dimensions for input: x\n index: 0",
    ),
    "Got invalid dimensions for input: x",
  );
  assert.equal(
    firstUsefulLine("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got 1\nmore"),
    "Got 1",
  );
  assert.equal(firstUsefulLine("\n\n  \n"), "no reason given");
});

Deno.test("firstUsefulLine() ends an endless line", () => {
  const line = firstUsefulLine("x".repeat(100_000));
  assert.ok(line.length < 500 && line.endsWith("…"));
});

Deno.test("sessionCreateError() keeps the whole text in its cause", () => {
  const cause = new Error("Unsupported data type: 16\nsecond line");
  const error = sessionCreateError(SETTINGS, cause);
  assert.equal(
    error.message,
    "cannot open segment 3: h.1 on cpu: Unsupported data type: 16",
  );
  assert.match(error.fix, /cast the value/);
  assert.equal(error.cause, cause);
  assert.equal(sessionCreateError(SETTINGS, "text").cause, "text");
});
