import assert from "node:assert/strict";
import { hostInProcess, processArguments } from "../../../manifest/isolation/process_host.ts";
import { hostInWorker } from "../../../manifest/isolation/worker_host.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { skippable } from "../../skippable.ts";
import { CALL, hostConformance, map, MODULE, specOf } from "./_hosting.ts";

hostConformance("process", hostInProcess);

Deno.test("processArguments() grants the rights and denies everything else by name", () => {
  const rights = { net: ["example.com:443"], env: ["A", "B_*"] };
  const flags = processArguments(specOf("observe", { rights }), ["/a,b", "/c"]).slice(1, -1);
  assert.deepEqual(flags, [
    "--quiet",
    "--no-prompt",
    "--no-remote",
    "--no-npm",
    "--cached-only",
    "--no-config",
    "--no-lock",
    "--allow-read=/a,,b,/c",
    "--deny-write",
    "--allow-net=example.com:443",
    "--allow-env=A,B_*",
    "--deny-run",
    "--deny-ffi",
    "--deny-sys",
    "--deny-import",
    "--v8-flags=--max-old-space-size=512",
  ]);
});

Deno.test("hostInProcess() says when there is no deno to run", async () => {
  const denoPath = "/nowhere/deno";
  await expectCode("PLUGIN_ISOLATION", () => hostInProcess(specOf("observe"), { denoPath }));
});

Deno.test("kill() ends an endless loop: the process is gone", async () => {
  const hosted = await hostInProcess(specOf("loop"));
  const hook = await hosted.createHook(MODULE);
  const looping = assert.rejects(
    async () => await hook?.postForward?.(CALL, map("y", 1), null),
    { code: "PLUGIN_ISOLATION" },
  );
  hosted.kill();
  await looping;
  await hosted.close(); // resolves when the process has ended
});

Deno.test({
  ...skippable(
    "typed arrays are limited too, where /bin/sh can set a limit",
    Deno.build.os === "linux" ? undefined : "only Linux enforces the limit of data",
  ),
  async fn() {
    const spec = specOf("buffers", { budgets: { retainedBytes: 64 * 2 ** 20 } });
    await using hosted = await hostInProcess(spec);
    const hook = await hosted.createHook(MODULE);
    await assert.rejects(
      async () => await hook?.postForward?.(CALL, map("y", 1), null),
      { name: "RangeError" },
    );
    assert.equal(hosted.ended, null);
  },
});

Deno.test("a heap beyond its budget ends the process with HOOK_BUDGET", async () => {
  const spec = specOf("bomb", { budgets: { retainedBytes: 32 * 2 ** 20 } });
  await using hosted = await hostInProcess(spec);
  const hook = await hosted.createHook(MODULE);
  const error = await expectCode(
    "HOOK_BUDGET",
    async () => await hook?.postForward?.(CALL, map("y", 1), null),
  );
  assert.match(error.message, /more memory/);
});

Deno.test("both hosts say so where there is no Deno", async () => {
  const spec = specOf("observe");
  const scope = globalThis as { Deno?: unknown };
  const { Deno: kept } = scope;
  delete scope.Deno;
  try {
    await expectCode("PLUGIN_ISOLATION", () => hostInProcess(spec));
    const hosting = () => hostInWorker(spec, { unstableWorkerOptions: true });
    await expectCode("PLUGIN_ISOLATION", hosting);
  } finally {
    scope.Deno = kept;
  }
});
