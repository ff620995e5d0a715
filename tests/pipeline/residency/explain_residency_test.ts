import assert from "node:assert/strict";
import { explainResidency } from "../../../pipeline/residency/explain_residency.ts";
import { makeSchedule, type ResidencySchedule } from "../../../pipeline/residency/schedule.ts";
import { fakeWeights, fakeWish, MEANS } from "./_fakes.ts";

function schedule(
  placement: "resident" | "streamed",
  activations: number | null,
  cacheFolder: string | null = null,
): string {
  const made = makeSchedule({
    wishes: [
      fakeWish("a", { placement, cacheFolder }),
      fakeWish("b", { placement: "resident", cacheFolder }, [1]),
    ],
    means: MEANS,
    weightsOf: (module) => fakeWeights(module.path, 44e6),
    activationsOf: () => activations,
    modelByteLength: 100e6,
  }) as ResidencySchedule;
  return explainResidency(made).join("\n");
}

Deno.test("explainResidency() says what moves, how, and what it is expected to cost", () => {
  const text = schedule("streamed", 5e6);
  assert.match(text, /^weights: 1 of 2 blocks are streamed, 44.0 MB a run; b stay/);
  assert.match(text, /strategy mapped: memory can be steered; fetches 2 ahead/);
  assert.match(text, /expected: 49.0 MB above the memory before a run; 56.0 MB of weights stay/);
  assert.match(text, /expected: about 1\.\d\d of a resident run's time .* reading 44.0 MB/);
  assert.match(text, /numbers: may differ from resident weights in the last digits/);
  assert.match(
    schedule("streamed", null),
    /44.0 MB above the memory before a run, and activations/,
  );
});

Deno.test("explainResidency() says that nothing moves", () => {
  assert.match(schedule("resident", null), /^weights: all of them fit and stay in memory$/);
});

Deno.test("explainResidency() tells device, process and files apart", () => {
  const onDevice = (hostByteBudget: number | null): string => {
    const made = makeSchedule({
      wishes: ["a", "b", "c", "d"].map((path, index) =>
        fakeWish(path, { hostByteBudget }, [index])
      ),
      means: { ...MEANS, provider: "webgpu", hasUploads: true },
      weightsOf: (module) => fakeWeights(module.path, 10e6),
      activationsOf: () => 5e6,
      modelByteLength: 50e6,
    }) as ResidencySchedule;
    return explainResidency(made).join("\n");
  };
  const all = onDevice(null);
  assert.match(all, /on the device: 25.0 MB during a run; 10.0 MB of weights stay/);
  assert.match(all, /in the process: 40.0 MB, where all of these weights stay/);
  assert.match(all, /no less time than copying 40.0 MB to the device/);
  assert.match(
    onDevice(30e6),
    /in the process: 30.0 MB, where those of 1 blocks stay and those of 3 are read for each call/,
  );
});

Deno.test("explainResidency() says how large the files get, and where", () => {
  assert.match(schedule("streamed", null, "/c"), /files: about 88.0 MB in "\/c"/);
  assert.doesNotMatch(schedule("streamed", null), /files:/);
});
