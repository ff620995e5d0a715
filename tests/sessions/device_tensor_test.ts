import assert from "node:assert/strict";
import { DeviceLedger, deviceLedger, DeviceTensor } from "../../sessions/device_tensor.ts";
import { float32 } from "../../tensor/tensor.ts";
import { expectCode } from "./expect_code.ts";

function pretend(free: () => void): DeviceTensor {
  return new DeviceTensor({
    provider: "cuda",
    dtype: "float32",
    shape: [2],
    byteLength: 8,
    read: () => Promise.resolve(float32([2], [1, 2])),
    free,
  });
}

Deno.test("DeviceTensor is listed until its release, and freed once", async () => {
  let frees = 0;
  const value = pretend(() => frees++);
  assert.deepEqual([deviceLedger.count, deviceLedger.byteLength], [1, 8]);
  assert.deepEqual([value.provider, value.dtype, [...value.shape]], ["cuda", "float32", [2]]);
  assert.deepEqual(await value.read(), float32([2], [1, 2]));
  assert.equal(value.released, false);
  value.release();
  value[Symbol.dispose]();
  assert.deepEqual([frees, value.released, deviceLedger.count, deviceLedger.byteLength], [
    1,
    true,
    0,
    0,
  ]);
  const error = await expectCode("SESSION_RELEASED", () => value.read());
  assert.deepEqual(error.details, { provider: "cuda" });
});

Deno.test("DeviceLedger counts copies by their direction", () => {
  const ledger = new DeviceLedger();
  ledger.copied("to device");
  ledger.copied("to device");
  ledger.copied("to host");
  assert.deepEqual([ledger.copiesToDevice, ledger.copiesToHost, ledger.count], [2, 1, 0]);
});
