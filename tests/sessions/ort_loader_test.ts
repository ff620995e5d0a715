import assert from "node:assert/strict";
import { statSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import {
  loadOrt,
  type OrtFeed,
  type OrtModule,
  type OrtSession,
} from "../../sessions/ort_loader.ts";
import { expectCode } from "./expect_code.ts";

/** A module whose sessions answer the self-test as `answer` says. */
function fakeOrt(
  version: string | undefined,
  answer: (name: string, x: number) => number | undefined,
): OrtModule {
  const session: OrtSession = {
    inputMetadata: [],
    outputMetadata: [],
    run: (feeds, fetches) => {
      const x = (feeds["x"] as OrtFeed).data as Float32Array;
      return Promise.resolve(Object.fromEntries(
        fetches.map((name) => [name, {
          type: "float32",
          dims: [1],
          data: [answer(name, x[0] ?? 0)],
        }]),
      ));
    },
    release: () => Promise.resolve(),
  };
  return {
    env: { versions: version === undefined ? {} : { node: version } },
    InferenceSession: { create: () => Promise.resolve(session) },
  };
}

function correct(name: string, x: number): number | undefined {
  return name === "a" ? x : name === "b" ? -x : Math.sign(x);
}

Deno.test("loadOrt() reports version, telemetry and the library's folder", async () => {
  const { report } = await loadOrt();
  assert.equal(report.version, "1.29.0");
  assert.equal(report.telemetry, "off");
  assert.equal(process.env["ORT_DISABLE_TELEMETRY"], "1");
  assert.ok(report.libraryFolder !== null);
  assert.ok(statSync(report.libraryFolder).isDirectory());
});

Deno.test("loadOrt() refuses versions below 1.24.1", async () => {
  for (const version of ["1.24.0", "1.9.2", "0.99.0", "dev", undefined]) {
    const load = () => Promise.resolve(fakeOrt(version, correct));
    await expectCode("ORT_TOO_OLD", () => loadOrt(load));
  }
  for (const version of ["1.24.1", "1.24.1-dev.2", "1.30.0", "2.0.0"]) {
    const load = () => Promise.resolve(fakeOrt(version, correct));
    assert.equal((await loadOrt(load)).report.version, version);
  }
});

Deno.test("loadOrt() refuses a library that returns outputs under wrong names", async () => {
  const swapped = fakeOrt("1.29.0", (name, x) => correct(name === "a" ? "c" : "a", x));
  const error = await expectCode(
    "ORT_TOO_OLD",
    () => loadOrt(() => Promise.resolve(swapped)),
  );
  assert.match(error.message, /wrong names/);
  const silent = fakeOrt("1.29.0", () => undefined);
  await expectCode("ORT_TOO_OLD", () => loadOrt(() => Promise.resolve(silent)));
});

Deno.test("loadOrt() says what to install when the package is not there", async () => {
  const error = await expectCode(
    "ENGINE_UNAVAILABLE",
    () => loadOrt(() => Promise.reject(new Error("Cannot find module 'x'\n…"))),
  );
  assert.match(error.message, /Cannot find module 'x'$/);
  assert.match(error.fix, /install onnxruntime-node/);
});

function reportWith(flags: readonly string[]): Record<string, unknown> {
  const script = fileURLToPath(
    import.meta.resolve("./engine_report_script.ts"),
  );
  // node:child_process would grant everything to a Deno that is given no permission flag.
  const { stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-lock", "--quiet", ...flags, script],
    env: { ORT_DISABLE_TELEMETRY: "1" },
  }).outputSync();
  const decoder = new TextDecoder();
  const text = decoder.decode(stdout);
  assert.ok(text.startsWith("{"), decoder.decode(stderr));
  return JSON.parse(text);
}

Deno.test("loadOrt() without the ffi permission names the flag to give", () => {
  const report = reportWith([]);
  assert.equal(report["code"], "ENGINE_UNAVAILABLE");
  assert.match(String(report["fix"]), /--allow-ffi=\S+\.node$/);
});

Deno.test("loadOrt() needs ffi alone and says that telemetry stayed on without env", () => {
  const report = reportWith(["--allow-ffi"]);
  assert.equal(report["version"], "1.29.0");
  assert.match(
    String(report["telemetry"]),
    /^could not be switched off: .*--allow-env=ORT_DISABLE_TELEMETRY$/,
  );
});
