import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { hostInWorker } from "../../../manifest/isolation/worker_host.ts";
import type { HostSpec } from "../../../manifest/isolation/host_spec.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { ROOT } from "../../suites.ts";
import { CALL, hostConformance, map, MODULE, specOf } from "./_hosting.ts";

const HOST_MODULE = JSON.stringify(
  pathToFileURL(join(ROOT, "manifest/isolation/worker_host.ts")).href,
);
const host = (spec: HostSpec) => hostInWorker(spec, { unstableWorkerOptions: true });

hostConformance("worker", host);

Deno.test("hostInWorker() refuses to start where the application did not say that the flag is on", async () => {
  const error = await expectCode(
    "WORKER_FLAG_MISSING",
    () => hostInWorker(specOf("observe"), { unstableWorkerOptions: false }),
  );
  assert.match(error.message, /exit code 70/);
  assert.match(error.fix, /worker-options/);
});

Deno.test("without the flag Deno ends the process with exit code 70, caught or not", () => {
  const script = `
    const { hostInWorker } = await import(${HOST_MODULE});
    try {
      await hostInWorker(JSON.parse(Deno.args[0]), { unstableWorkerOptions: true });
    } catch { console.log("caught"); }
    console.log("alive");`;
  const { audit: _audit, log: _log, ...spec } = specOf("observe");
  const { code, stdout } = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", script, JSON.stringify(spec)],
  }).outputSync();
  assert.equal(code, 70);
  assert.equal(new TextDecoder().decode(stdout), "");
});

Deno.test("hostInWorker() refuses to start while a permission broker decides", async () => {
  process.env["DENO_PERMISSION_BROKER_PATH"] = "/nowhere/broker.sock";
  try {
    const error = await expectCode("PLUGIN_ISOLATION", () => host(specOf("observe")));
    assert.match(error.message, /DENO_PERMISSION_BROKER_PATH/);
  } finally {
    delete process.env["DENO_PERMISSION_BROKER_PATH"];
  }
});

Deno.test("hostInWorker() hands down no more than the process has", async () => {
  const script = `
    const { hostInWorker } = await import(${HOST_MODULE});
    try {
      await hostInWorker(JSON.parse(Deno.args[0]), { unstableWorkerOptions: true });
    } catch (error) { console.log(error.code); }`;
  const { audit: _audit, log: _log, ...spec } = specOf("observe", {
    rights: { net: ["example.com"] },
  });
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--allow-read",
      "--unstable-worker-options",
      "--no-config",
      `data:application/javascript,${encodeURIComponent(script)}`,
      JSON.stringify(spec),
    ],
  }).output();
  assert.equal(new TextDecoder().decode(stdout), "HOOK_PERMISSION_DENIED\n");
});

Deno.test("an observer's tensors are lent for the call: it keeps nothing, and its writes are seen", async () => {
  const audited: { permission: string; value: string | null }[] = [];
  const spec = specOf("scribble", { audit: (entry) => void audited.push(entry) });
  await using hosted = await host(spec);
  const hook = await hosted.createHook(MODULE);
  const given = map("y", 1, 2);
  await hook?.postForward?.(CALL, given, null);
  assert.deepEqual(given, map("y", 1, 2));
  assert.deepEqual(audited.map(({ permission, value }) => [permission, value]), [
    ["write-activations", "y"],
  ]);
});
