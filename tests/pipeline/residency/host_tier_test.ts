import assert from "node:assert/strict";
import { HostTier, type StagedWeights } from "../../../pipeline/residency/host_tier.ts";
import type { DeviceUploads } from "../../../sessions/device_uploads.ts";

/** Copies that only count the memory they gave. */
class FakeUploads implements DeviceUploads {
  made = 0;
  live = 0;
  stage(byteLength: number): ReturnType<DeviceUploads["stage"]> {
    this.made++;
    this.live += byteLength;
    return {
      bytes: new Uint8Array(byteLength),
      isPinned: false,
      release: () => void (this.live -= byteLength),
    };
  }
  allocate(): never {
    throw new Error("not asked for");
  }
  copy(): never {
    throw new Error("not asked for");
  }
}

function weights(
  uploads: DeviceUploads,
  { byteLength = 4, stays = false, value = 1 } = {},
): StagedWeights & { fills: number } {
  const made = {
    uploads,
    byteLength,
    stays,
    fills: 0,
    fill: (bytes: Uint8Array) => {
      made.fills++;
      bytes.fill(value);
      return Promise.resolve();
    },
  };
  return made;
}

Deno.test("HostTier reads what stays once and the rest for each call", async () => {
  const uploads = new FakeUploads();
  const tier = new HostTier();
  const [staying, passing] = [weights(uploads, { stays: true }), weights(uploads, { value: 2 })];
  for (let pass = 0; pass < 3; pass++) {
    for (const [which, value] of [[staying, 1], [passing, 2]] as const) {
      assert.deepEqual([...(await tier.take(which)).bytes], Array(4).fill(value));
      tier.give(which);
    }
  }
  assert.deepEqual([staying.fills, passing.fills, uploads.made], [1, 3, 2]);
  assert.equal(tier.byteLength, 8);
  tier.close();
  assert.deepEqual([uploads.live, tier.byteLength], [0, 0]);
});

Deno.test("HostTier gives memory on only when nobody has it, and to weights of that size and device", async () => {
  const [uploads, other] = [new FakeUploads(), new FakeUploads()];
  const tier = new HostTier();
  const [first, second] = [weights(uploads), weights(uploads, { value: 2 })];
  const [large, elsewhere] = [weights(uploads, { byteLength: 8 }), weights(other)];
  const held = await tier.take(first);
  assert.notEqual(await tier.take(second), held);
  assert.deepEqual([...held.bytes], [1, 1, 1, 1]);
  tier.give(first);
  assert.notEqual(await tier.take(large), held);
  assert.notEqual(await tier.take(elsewhere), held);
  tier.give(second);
  tier.give(large);
  tier.give(elsewhere);
  assert.equal(uploads.made, 3);
  tier.close();
  assert.deepEqual([uploads.live, other.live], [0, 0]);
});

Deno.test("HostTier keeps nothing of weights that could not be read, and reads them again", async () => {
  const uploads = new FakeUploads();
  const tier = new HostTier();
  const good = weights(uploads, { stays: true });
  let fails = true;
  const which: StagedWeights = {
    ...good,
    fill: (bytes) => fails ? Promise.reject(new Error("disk")) : good.fill(bytes),
  };
  await assert.rejects(tier.take(which), /disk/);
  fails = false;
  assert.deepEqual([...(await tier.take(which)).bytes], [1, 1, 1, 1]);
  tier.close();
  assert.equal(uploads.live, 0);
});
