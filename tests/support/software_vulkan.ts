// WebGPU for tests: the machine's own driver, or Mesa's software one where there is none. Tests on it run
// in child processes, because Dawn reads its variables once and ends a process whose driver it dislikes.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ProbeResult } from "../../sessions/providers/descriptor.ts";

const MANIFESTS = "/usr/share/vulkan/icd.d";

/** The variables with which a child process finds a driver. */
function vulkanVariables(): Record<string, string> {
  const software = existsSync(MANIFESTS)
    ? readdirSync(MANIFESTS).find((name) => /^lvp_icd.*\.json$/.test(name))
    : undefined;
  return {
    ORT_DISABLE_TELEMETRY: "1",
    XDG_RUNTIME_DIR: mkdtempSync(join(tmpdir(), "hookline-xdg-")),
    ...(software === undefined || Deno.env.get("VK_DRIVER_FILES") !== undefined
      ? {}
      : { VK_DRIVER_FILES: join(MANIFESTS, software) }),
  };
}

/** Runs a script or a file of tests with WebGPU; fails with its output when it fails. */
export function runOnDevice(url: URL, kind: "run" | "test"): string {
  const { code, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: [kind, "-A", "--no-check", "--no-lock", "--quiet", fileURLToPath(url)],
    env: { ...vulkanVariables(), NO_COLOR: "1" },
  }).outputSync();
  const decoder = new TextDecoder();
  const text = decoder.decode(stdout);
  assert.equal(code, 0, text + decoder.decode(stderr));
  return text;
}

/** Why tests on WebGPU cannot run here; undefined when they can. */
export function whyNoWebGpu(): string | undefined {
  const text = runOnDevice(new URL("./probe_webgpu.ts", import.meta.url), "run");
  const found = JSON.parse(text) as ProbeResult;
  return found.available ? undefined : `no WebGPU: ${found.reason}; ${found.fix}`;
}
