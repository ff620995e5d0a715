// Damaged files: a decoder may accept them or refuse them, but only with FILE_FORMAT, and soon.

import assert from "node:assert/strict";
import { HooklineError } from "../../errors/hookline_error.ts";

/** Words of a fixed sequence (mulberry32), so that a failure can be had again. */
function words(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff, 0x20, 0x22, 0x27, 0x2c, 0x39, 0x5b, 0x7b, 0x7d];

/** `count` damaged copies of the files: bytes changed, cut off, added, moved. */
export function* damagedCopies(
  files: readonly Uint8Array[],
  count: number,
  seed = 1,
): Generator<Uint8Array> {
  const next = words(seed);
  for (let index = 0; index < count; index++) {
    const file = files[index % files.length] ?? new Uint8Array(0);
    const at = next() % (file.length + 1);
    // Structure lies at both ends of these formats; most changes go there.
    const near = next() % 3 === 0
      ? at
      : next() % 2 === 0
      ? at % 200
      : Math.max(0, file.length - 1 - at % 400);
    switch (next() % 5) {
      case 0:
        yield file.slice(0, at);
        break;
      case 1:
        yield Uint8Array.of(...file.slice(0, near), next() & 255, ...file.slice(near));
        break;
      case 2: {
        const copy = file.slice();
        const length = 1 + next() % 8;
        copy.fill(INTERESTING[next() % INTERESTING.length] ?? 0, near, near + length);
        yield copy;
        break;
      }
      default: {
        const copy = file.slice();
        for (let change = 0; change <= next() % 3; change++) {
          copy[(near + change * (next() % 5)) % file.length] = next() & 255;
        }
        yield copy;
      }
    }
  }
}

/** Runs a decoder over damaged copies and returns how many it refused. */
export function refusals(
  decode: (bytes: Uint8Array) => unknown,
  copies: Iterable<Uint8Array>,
): number {
  let refused = 0;
  for (const copy of copies) {
    try {
      decode(copy);
    } catch (error) {
      assert.ok(error instanceof HooklineError, `${error instanceof Error ? error.stack : error}`);
      assert.equal(error.code, "FILE_FORMAT");
      assert.ok(error.fix.length > 0);
      assert.equal(error.details.file, "damaged");
      refused++;
    }
  }
  return refused;
}

/** The HooklineError that `act` throws, its code checked. */
export function thrown(act: () => unknown, code: HooklineError["code"]): HooklineError {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof HooklineError, String(error));
    assert.equal(error.code, code, error.message);
    return error;
  }
  throw new assert.AssertionError({ message: `nothing was thrown, wanted ${code}` });
}

/** The same for a promise. */
export async function rejected(
  promise: Promise<unknown>,
  code: HooklineError["code"],
): Promise<HooklineError> {
  try {
    await promise;
  } catch (error) {
    return thrown(() => {
      throw error;
    }, code);
  }
  throw new assert.AssertionError({ message: `nothing was rejected, wanted ${code}` });
}
