import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { chooseEngine, ENGINE_NAMES } from "../../sessions/engine_choice.ts";
import { nativeRefusal } from "../../sessions/native/native_availability.ts";
import { ortLibraryFolder } from "../../sessions/_ort_library.ts";
import { expectCode } from "./expect_code.ts";

Deno.test("chooseEngine() takes native for auto where ffi is granted, and says so", async () => {
  const { engine, because } = await chooseEngine("auto");
  assert.equal(engine.name, "native");
  assert.match(because, /^auto chose native: /);
  assert.equal((await chooseEngine("native")).engine, engine);
});

Deno.test("chooseEngine() takes what is asked for by name, and an engine that is given", async () => {
  const { engine, because } = await chooseEngine("napi");
  assert.equal(engine.name, "napi");
  assert.equal(because, "napi was asked for");
  assert.equal((await chooseEngine("napi")).engine, engine);
  assert.equal((await chooseEngine(engine)).engine, engine);
});

Deno.test("chooseEngine() refuses names and objects that are no engine", async () => {
  const error = await expectCode("ENGINE_UNKNOWN", () => chooseEngine("natve" as never));
  assert.match(error.fix, /did you mean "native"/);
  for (const given of [{}, { open: () => {} }, 3, null]) {
    await expectCode("ENGINE_UNKNOWN", () => chooseEngine(given as never));
  }
  assert.deepEqual(ENGINE_NAMES, ["auto", "napi", "native"]);
});

function chosenBy(
  [command, ...args]: readonly string[],
  asked: string,
): Readonly<Record<string, unknown>> {
  const script = fileURLToPath(import.meta.resolve("./engine_choice_script.ts"));
  const { stdout, stderr } = new Deno.Command(command ?? "", {
    args: [...args, script, asked],
    env: { ORT_DISABLE_TELEMETRY: "1" },
  }).outputSync();
  const decoder = new TextDecoder();
  const text = decoder.decode(stdout);
  assert.ok(text.startsWith("{"), decoder.decode(stderr));
  return JSON.parse(text);
}

function withFlags(...flags: readonly string[]): readonly string[] {
  return [Deno.execPath(), "run", "--no-prompt", "--no-lock", "--quiet", ...flags];
}

Deno.test("chooseEngine() falls back to napi where ffi is granted for paths alone, and says why", () => {
  const paths = withFlags(`--allow-ffi=${ortLibraryFolder()}`);
  const auto = chosenBy(paths, "auto");
  assert.equal(auto["engine"], "napi");
  assert.equal(auto["version"], "1.29.0");
  assert.match(String(auto["because"]), /native cannot be used: .*without a list of paths/);
  const native = chosenBy(paths, "native");
  assert.equal(native["code"], "ENGINE_UNAVAILABLE");
  assert.match(String(native["fix"]), /--allow-ffi without a list of paths/);
});

Deno.test("chooseEngine() needs no more than ffi for the native engine", () => {
  const found = chosenBy(withFlags("--allow-ffi"), "auto");
  assert.equal(found["engine"], "native");
  assert.equal(found["version"], "1.29.0");
});

Deno.test("chooseEngine() takes napi in a worker, where native has no free event loop to offer", async () => {
  const url = new URL("./engine_choice_worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  try {
    const found = await new Promise<{ engine: string; because: string }>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    });
    assert.equal(found.engine, "napi");
    assert.match(
      found.because,
      /native cannot be used: in a worker it cannot leave the event loop free/,
    );
  } finally {
    worker.terminate();
  }
});

Deno.test("nativeRefusal() leaves other systems than Linux to those who ask by name", () => {
  assert.equal(nativeRefusal({ byName: false, os: "linux" }), null);
  for (const os of ["darwin", "windows"]) {
    assert.match(
      nativeRefusal({ byName: false, os })?.reason ?? "",
      new RegExp(`never run on ${os}`),
    );
    assert.match(nativeRefusal({ byName: false, os })?.fix ?? "", /"native" by name/);
    assert.equal(nativeRefusal({ byName: true, os }), null);
  }
});
