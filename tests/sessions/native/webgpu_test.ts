// The native engine on WebGPU, in a process of its own: see tests/support/software_vulkan.ts.

import assert from "node:assert/strict";
import { skippable } from "../../skippable.ts";
import { runOnDevice, whyNoWebGpu } from "../../support/software_vulkan.ts";

Deno.test({
  ...skippable("the native engine passes its tests on WebGPU", whyNoWebGpu()),
  fn() {
    const text = runOnDevice(new URL("./webgpu_suite.ts", import.meta.url), "test");
    const [, passed] = /ok \| (\d+) passed \| 0 failed/.exec(text) ?? [];
    assert.ok(Number(passed) >= 67, text);
  },
});
