import assert from "node:assert/strict";
import { admitHook } from "../../../hooks/admission.ts";
import { ModelHook } from "../../../hooks/model_hook.ts";
import type { ResidencyRequest } from "../../../hooks/residency_request.ts";
import {
  makeSchedule,
  type ResidencyWish,
  streamedModules,
  wishOf,
} from "../../../pipeline/residency/schedule.ts";
import { fakeModule, fakeWeights, fakeWish, MEANS } from "./_fakes.ts";

function schedule(wishes: readonly ResidencyWish[]): ReturnType<typeof makeSchedule> {
  return makeSchedule({
    wishes,
    means: MEANS,
    weightsOf: (module) => fakeWeights(module.path, 100),
    activationsOf: () => 7,
    modelByteLength: 1000,
  });
}

Deno.test("makeSchedule() streams, keeps, and foretells", () => {
  const made = schedule([
    fakeWish("a", { placement: "streamed", ahead: 1 }),
    fakeWish("b", { placement: "resident", ahead: 3 }, [1]),
  ]);
  assert.equal(made?.strategy, "mapped");
  assert.equal(made?.ahead, 3);
  assert.deepEqual(streamedModules(made), ["a"]);
  assert.equal(made?.forecast.residentByteLength, 900);
  assert.equal(made?.forecast.streamedByteLength, 100);
  assert.equal(made?.forecast.peakByteLength, 107);
  assert.deepEqual(streamedModules(null), []);
  assert.equal(schedule([]), null);
});

Deno.test("makeSchedule() leaves a module inside another to the module around it", () => {
  const made = schedule([fakeWish("a", {}, [1, 2, 3]), fakeWish("a.mlp", {}, [2])]);
  assert.deepEqual(streamedModules(made), ["a"]);
});

Deno.test("makeSchedule() opens sessions one at a time", () => {
  assert.equal(schedule([fakeWish("a", { strategy: "sessions", ahead: 4 })])?.ahead, 0);
});

Deno.test("makeSchedule() refuses requests that contradict each other", () => {
  const pairs: readonly [Partial<ResidencyRequest>, Partial<ResidencyRequest>][] = [
    [{ strategy: "mapped" }, { strategy: "inputs" }],
    [{ byteBudget: 1000 }, { byteBudget: 2000 }],
    [{ cacheFolder: "/a" }, { cacheFolder: null }],
  ];
  for (const [one, other] of pairs) {
    assert.throws(() => schedule([fakeWish("a", one), fakeWish("b", other, [1])]), {
      code: "OPTION_INVALID",
      message: new RegExp(`asks for ${Object.keys(one)[0]}`),
    });
  }
});

Deno.test("wishOf() finds the one residency hook that asks, and refuses two", () => {
  class Weights extends ModelHook {
    override readonly access = "residency";
    constructor(override readonly name: string) {
      super();
    }
  }
  class Asking extends Weights {
    override readonly residency: ResidencyRequest = { placement: "streamed" };
  }
  const module = fakeModule("a");
  const [one, two, silent] = [new Asking("one"), new Asking("two"), new Weights("s")]
    .map((hook) => admitHook(hook, "a"));
  assert.ok(one !== undefined && two !== undefined && silent !== undefined);
  assert.equal(wishOf(module, [silent, one])?.hook, "one");
  assert.equal(wishOf(module, [silent]), null);
  assert.throws(() => wishOf(module, [one, two]), { code: "OPTION_INVALID" });
});

Deno.test("makeSchedule() places on the host what goes to a device, and nothing elsewhere", () => {
  const wishes = (hostByteBudget: number | null) =>
    ["a", "b", "c", "d"].map((path, index) => fakeWish(path, { hostByteBudget }, [index]));
  const onDevice = (hostByteBudget: number | null, memoryByteLength: number | null) =>
    makeSchedule({
      wishes: wishes(hostByteBudget),
      means: { ...MEANS, provider: "cuda", hasUploads: true, memoryByteLength },
      weightsOf: (module) => fakeWeights(module.path, 100),
      activationsOf: () => 7,
      modelByteLength: 1000,
    })?.host;
  assert.deepEqual(onDevice(null, 800), { modules: ["a", "b", "c", "d"], byteLength: 400 });
  assert.deepEqual(onDevice(null, 600), { modules: ["a"], byteLength: 300 });
  assert.deepEqual(onDevice(null, null), { modules: [], byteLength: 200 }, "nobody may ask");
  assert.deepEqual(onDevice(200, 800), { modules: [], byteLength: 200 });
  assert.throws(() => onDevice(199, 800), { code: "RESIDENCY_BUDGET" });
  assert.equal(schedule(wishes(300))?.host, null);
});
