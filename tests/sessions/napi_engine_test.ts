import assert from "node:assert/strict";
import { HooklineError } from "../../errors/hookline_error.ts";
import { NapiEngine } from "../../sessions/napi_engine.ts";
import { engineConformance } from "./engine_conformance.ts";
import { expectCode } from "./expect_code.ts";
import { identityModel } from "./tiny_models.ts";

engineConformance(() => new NapiEngine());

Deno.test("NapiEngine loads nothing before its first use and once for all uses", async () => {
  let loads = 0;
  const engine = new NapiEngine(() => {
    loads++;
    return Promise.resolve({
      module: {} as never,
      report: { version: "9.9.9", telemetry: "off", libraryFolder: null },
    });
  });
  assert.equal(loads, 0);
  await Promise.all([engine.version(), engine.version(), engine.report()]);
  assert.equal(loads, 1);
});

Deno.test("NapiEngine tries again after a load that failed", async () => {
  let loads = 0;
  const engine = new NapiEngine(() => {
    loads++;
    return Promise.reject(
      new HooklineError("ENGINE_UNAVAILABLE", { message: "no", fix: "yes" }),
    );
  });
  await expectCode("ENGINE_UNAVAILABLE", () => engine.version());
  await expectCode("ENGINE_UNAVAILABLE", () => engine.version());
  assert.equal(loads, 2);
});

Deno.test("NapiEngine keeps a session in the ledger when the library will not free it", async () => {
  const real = new NapiEngine();
  await real.version();
  const session = {
    inputMetadata: [],
    outputMetadata: [],
    run: () => Promise.resolve({}),
    release: () => Promise.reject(new Error("stuck")),
  };
  const engine = new NapiEngine(() =>
    Promise.resolve({
      module: {
        env: { versions: { node: "9.9.9" } },
        InferenceSession: { create: () => Promise.resolve(session) },
      },
      report: { version: "9.9.9", telemetry: "off", libraryFolder: null },
    })
  );
  const opened = await engine.open(
    { kind: "bytes", bytes: identityModel("float32", [1]), weightFolder: null },
    {
      provider: "cpu",
      optimization: "all",
      threads: 1,
      prepacking: true,
      label: "stuck",
    },
  );
  const error = await expectCode("INTERNAL", () => opened.release());
  assert.match(error.message, /cannot release stuck/);
});

Deno.test("NapiEngine refuses strings that the addon would cut off", async () => {
  const bytes = identityModel("string", ["n"]);
  await using session = await new NapiEngine().open(
    { kind: "bytes", bytes, weightFolder: null },
    { provider: "cpu", optimization: "all", threads: 1, prepacking: true, label: "m" },
  );
  const run = (text: string) =>
    session.run({ x: { dtype: "string", shape: [2], data: ["a", text] } });
  assert.deepEqual((await run("größer"))["y"]?.data, ["a", "größer"]);
  await expectCode("FEED_DATA", () => run("b\0c"));
});
