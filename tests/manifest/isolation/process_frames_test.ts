import assert from "node:assert/strict";
import fc from "fast-check";
import {
  encodeFrame,
  type Frame,
  readFrames,
  SECRET_BYTES,
} from "../../../manifest/isolation/process_frames.ts";

const secret = Uint8Array.from({ length: SECRET_BYTES }, (_, at) => at * 7 + 1);

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

const frame = (message: unknown, ...buffers: Uint8Array[]): Uint8Array =>
  join(secret, ...encodeFrame(message, buffers));

/** Reads bytes in pieces of the given sizes, over and over. */
function readAll(bytes: Uint8Array, sizes: readonly number[]): { frames: Frame[]; noise: number } {
  const frames: Frame[] = [];
  let noise = 0;
  const reader = readFrames(secret, {
    onFrame: (one) => void frames.push(one),
    onNoise: (byteLength) => void (noise += byteLength),
  });
  for (let at = 0, turn = 0; at < bytes.byteLength; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    reader.take(bytes.subarray(at, at + size));
    at += size;
  }
  return { frames, noise };
}

Deno.test("frames arrive whole and in order, however the bytes are cut", () => {
  const bytes = join(
    frame({ id: 1 }, Uint8Array.of(1, 2, 3), new Uint8Array()),
    frame({ text: "ü" }),
    frame(null, new Uint8Array(70_000).fill(5)),
  );
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1 }), (sizes) => {
      const { frames, noise } = readAll(bytes, sizes);
      assert.equal(noise, 0);
      assert.deepEqual(frames.map(({ message }) => message), [{ id: 1 }, { text: "ü" }, null]);
      assert.deepEqual(frames.map(({ buffers }) => buffers.map(({ byteLength }) => byteLength)), [
        [3, 0],
        [],
        [70_000],
      ]);
      assert.deepEqual(
        new Uint8Array(frames[0]?.buffers[0] ?? new ArrayBuffer(0)),
        Uint8Array.of(1, 2, 3),
      );
    }),
    { numRuns: 40 },
  );
});

Deno.test("bytes between frames are skipped and counted, also those that begin like the secret", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      fc.integer({ min: 0, max: SECRET_BYTES - 1 }),
      fc.integer({ min: 1, max: 50 }),
      (junk, prefix, size) => {
        const noise = join(junk, secret.subarray(0, prefix));
        const bytes = join(frame({ id: 1 }), noise, frame({ id: 2 }), frame({ id: 3 }));
        const read = readAll(bytes, [size]);
        assert.deepEqual(read.frames.map(({ message }) => message), [{ id: 1 }, { id: 2 }, {
          id: 3,
        }]);
        assert.equal(read.noise, noise.byteLength);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("a frame without the secret is never read, and one with an impossible head neither", () => {
  const forged = join(new Uint8Array(SECRET_BYTES), ...encodeFrame({ id: 1 }, []));
  assert.deepEqual(readAll(join(forged, frame({ id: 2 })), [7]).frames.map((one) => one.message), [
    { id: 2 },
  ]);
  for (
    const head of ['{"message":1}', '{"message":1,"sizes":[-1]}', "not JSON", '{"sizes":[1e99]}']
  ) {
    const text = new TextEncoder().encode(head);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, text.byteLength, true);
    const { frames, noise } = readAll(join(secret, length, text, frame({ id: 2 })), [5]);
    assert.deepEqual(frames.map(({ message }) => message), [{ id: 2 }]);
    assert.ok(noise > 0);
  }
  const endless = new Uint8Array(4).fill(255);
  assert.equal(readAll(join(secret, endless, frame({ id: 2 })), [5]).frames.length, 1);
});
