import assert from "node:assert/strict";
import {
  type LayerwiseOffloadOptions,
  offloadSettings,
} from "../../../plugins/layerwise_offload/offload_options.ts";

Deno.test("offloadSettings() reads a budget with its unit", () => {
  const bytes = (budget: number | string) => offloadSettings({ budget }).byteBudget;
  assert.equal(bytes(4096), 4096);
  assert.equal(bytes("512MiB"), 512 * 2 ** 20);
  assert.equal(bytes("1.5 GB"), 1.5e9);
  assert.equal(bytes("2gib"), 2 ** 31);
  assert.equal(bytes("100"), 100);
  assert.equal(offloadSettings({}).byteBudget, null);
  assert.equal(offloadSettings({ hostBudget: "2MiB" }).hostByteBudget, 2 ** 21);
  assert.equal(offloadSettings({ budget: 1 }).hostByteBudget, null);
});

Deno.test("offloadSettings() refuses bad options by name", () => {
  const bad: Readonly<Record<string, unknown>>[] = [
    { budget: "much" },
    { budget: "3 parsecs" },
    { budget: -1 },
    { depth: 1.5 },
    { strategy: "magic" },
    { cacheFolder: "" },
    { resident: -1 },
    { resident: [0.5] },
    { resident: { stride: 0 } },
    { resident: { every: 2 } },
    { budget: NaN },
    { hostBudget: "much" },
    { hostBudget: 0 },
    { dimensions: { tokens: 0 } },
    { dimensions: null },
    { dimensions: 7 },
    { prefetch: 1 },
  ];
  for (const option of bad) {
    assert.throws(() => offloadSettings(option as LayerwiseOffloadOptions), {
      code: "OPTION_INVALID",
      message: new RegExp(`option "${Object.keys(option)[0]}"`),
    });
  }
  assert.throws(() => offloadSettings(null as unknown as LayerwiseOffloadOptions), {
    code: "OPTION_INVALID",
  });
});
