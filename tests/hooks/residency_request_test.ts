import assert from "node:assert/strict";
import { admitHook } from "../../hooks/admission.ts";
import { ModelHook } from "../../hooks/model_hook.ts";
import { admitResidency, type ResidencyRequest } from "../../hooks/residency_request.ts";

const NAMES = { hook: "weights", module: "blocks.0" };

Deno.test("admitResidency() works out what was left out, and freezes it", () => {
  const admitted = admitResidency({ placement: "streamed" }, NAMES);
  assert.deepEqual({ ...admitted }, {
    placement: "streamed",
    ahead: null,
    strategy: "auto",
    byteBudget: null,
    hostByteBudget: null,
    cacheFolder: null,
    dimensions: {},
  });
  assert.ok(Object.isFrozen(admitted));
});

Deno.test("admitResidency() refuses what makes no sense and names the field", () => {
  const bad: Readonly<Record<string, unknown>>[] = [
    { placement: "gone" },
    { ahead: -1 },
    { ahead: 1.5 },
    { ahead: 65 },
    { strategy: "magic" },
    { byteBudget: 0 },
    { byteBudget: "1GB" },
    { hostByteBudget: 0 },
    { hostByteBudget: 1.5 },
    { cacheFolder: "" },
    { dimensions: { tokens: 0 } },
  ];
  for (const field of bad) {
    const request = { placement: "streamed", ...field } as unknown as ResidencyRequest;
    assert.throws(() => admitResidency(request, NAMES), {
      code: "OPTION_INVALID",
      message: new RegExp(`residency.${Object.keys(field)[0]} is not`),
    });
  }
});

Deno.test("admitHook() takes a residency request of residency hooks alone", () => {
  class Weights extends ModelHook {
    override readonly name = "weights";
    constructor(override readonly access: "observe" | "residency") {
      super();
    }
    override readonly residency: ResidencyRequest = { placement: "resident" };
    override postForward(): void {}
  }
  assert.equal(admitHook(new Weights("residency"), "m").residency?.placement, "resident");
  assert.throws(() => admitHook(new Weights("observe"), "m"), { code: "HOOK_ACCESS" });
});
