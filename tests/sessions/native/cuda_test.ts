// The native engine on CUDA, in a process of its own. Never run so far: no device was at hand.

import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { providerDescriptor } from "../../../sessions/provider.ts";
import { skippable } from "../../skippable.ts";
import { runOnDevice } from "../../support/software_vulkan.ts";

const found = await providerDescriptor("cuda").probe(new NativeEngine(), { byName: false });

Deno.test({
  ...skippable(
    "the native engine passes its tests on CUDA",
    found.available ? undefined : `no CUDA: ${found.reason}`,
  ),
  fn: () => void runOnDevice(new URL("./cuda_suite.ts", import.meta.url), "test"),
});
