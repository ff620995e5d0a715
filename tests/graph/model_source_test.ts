import assert from "node:assert/strict";
import { resolve } from "node:path";
import { givenFolder, modelPath, notAModel } from "../../graph/model_source.ts";
import { openSkeleton } from "../../graph/skeleton.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { fixturePath } from "../support/fixture_path.ts";

Deno.test("modelPath() takes a path, a file: URL and a file: URL as text", () => {
  assert.equal(modelPath("a/b.onnx"), resolve("a/b.onnx"));
  assert.equal(modelPath(new URL("file:///a/b%20c.onnx")), resolve("/a/b c.onnx"));
  assert.equal(modelPath("file:///a/b%20c.onnx"), resolve("/a/b c.onnx"));
});

Deno.test("modelPath() says to fetch what does not lie in a file", async () => {
  for (const model of ["https://a.b/m.onnx", new URL("http://a.b/m.onnx"), "s3://a/m.onnx"]) {
    const error = await expectCode("OPTION_INVALID", () => modelPath(model));
    assert.match(error.fix, /fetch it first.*new Uint8Array/);
  }
  await expectCode("OPTION_INVALID", () => modelPath(new URL("data:text/plain,a")));
  const foreign = await expectCode("OPTION_INVALID", () => modelPath("file:///a%2Fb.onnx"));
  assert.ok(foreign.cause instanceof Error);
});

Deno.test("notAModel() tells an ArrayBuffer, a view and a foreign object apart", () => {
  assert.match(notAModel(new ArrayBuffer(4)).fix, /new Uint8Array\(buffer\)/);
  assert.match(notAModel(new DataView(new ArrayBuffer(4))).message, /a DataView/);
  assert.match(notAModel(null).message, /null is no path/);
  assert.match(notAModel(3).message, /a number is no path/);
  assert.match(notAModel({}).message, /an object is no path/);
  assert.match(notAModel(new Map()).message, /a Map is no path/);
});

Deno.test("givenFolder() takes a path or nothing", async () => {
  assert.equal(givenFolder(undefined), null);
  assert.equal(givenFolder("w"), resolve("w"));
  await expectCode("OPTION_INVALID", () => givenFolder(3));
});

Deno.test("openSkeleton() refuses models and options of another kind", async () => {
  const path = fixturePath("torch", "bert", "model.onnx");
  const skeleton = openSkeleton(path);
  for (const model of [null, {}, 3, new ArrayBuffer(8), "https://a.b/m.onnx", skeleton]) {
    await expectCode("OPTION_INVALID", () => openSkeleton(model as never));
  }
  await expectCode("OPTION_INVALID", () => openSkeleton(path, null as never));
  const error = await expectCode(
    "OPTION_INVALID",
    () => openSkeleton(path, { weightsFolder: "." } as never),
  );
  assert.equal(error.fix, 'did you mean "weightFolder"?');
});
