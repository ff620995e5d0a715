import assert from "node:assert/strict";
import { runFlags } from "../../manifest/run_flags.ts";
import { rightsWith } from "./_guards.ts";

const PROCESSES = { programs: ["/bin/deno", "/bin/sh"], folder: "/tmp" };
const NONE = { ortFolder: "/ort", reads: [], writes: [], plugins: [], processes: PROCESSES };

Deno.test("runFlags() asks for ONNX Runtime alone where there is nothing else", () => {
  assert.deepEqual(runFlags(NONE), [
    "--no-prompt",
    "--allow-env=ORT_DISABLE_TELEMETRY",
    "--allow-ffi=/ort",
  ]);
  assert.ok(runFlags({ ...NONE, ortFolder: null }).includes("--allow-ffi"));
});

Deno.test("runFlags() adds what the plugins were granted, each once and sorted", () => {
  const rights = rightsWith({ fsWrite: ["/out"], env: ["A"], net: ["b.c", "a.b:1"] });
  const flags = runFlags({
    ...NONE,
    reads: ["/models"],
    plugins: [
      { root: "/plugins/a,b", rights, level: "worker" },
      { root: "/plugins/a,b", rights, level: "process" },
    ],
  });
  assert.deepEqual(flags, [
    "--no-prompt",
    "--allow-env=A,ORT_DISABLE_TELEMETRY",
    "--allow-ffi=/ort",
    "--allow-net=a.b:1,b.c",
    "--allow-read=/models,/out,/plugins/a,,b,/tmp",
    "--allow-run=/bin/deno,/bin/sh",
    "--allow-write=/out,/tmp",
    "--unstable-worker-options",
  ]);
});
