import assert from "node:assert/strict";
import { FeedGuard } from "../../sessions/feed_guard.ts";
import { float32 } from "../../tensor/tensor.ts";
import { expectCode } from "./expect_code.ts";

const SPEC = {
  name: "x",
  isTensor: true,
  dtype: "float32",
  shape: [null, "n", 2],
} as const;

Deno.test("FeedGuard lets any size stand for a symbolic or unknown one", () => {
  const guard = new FeedGuard([SPEC], "m");
  guard.check({ x: float32([1, 0, 2], []) });
  guard.check({ x: float32([3, 1, 2], [1, 2, 3, 4, 5, 6]) });
});

Deno.test("FeedGuard names the declared sizes when one differs", async () => {
  const guard = new FeedGuard([SPEC], "m");
  const error = await expectCode(
    "FEED_SHAPE",
    () => guard.check({ x: float32([1, 1, 3], [1, 2, 3]) }),
  );
  assert.match(error.message, /\[1, 1, 3\], the model declares \[\?, n, 2\]/);
  assert.equal(error.fix, "make axis 2 2 long");
});

Deno.test("FeedGuard checks no rank where none is declared", () => {
  const guard = new FeedGuard([{ ...SPEC, shape: null }], "m");
  guard.check({ x: float32([], [1]) });
  guard.check({ x: float32([1, 1], [1]) });
});

Deno.test("FeedGuard refuses to feed an input that is no tensor", async () => {
  const spec = { name: "x", isTensor: false, dtype: null, shape: null };
  const error = await expectCode(
    "FEED_DTYPE",
    () => new FeedGuard([spec], "m").check({ x: float32([], [1]) }),
  );
  assert.match(error.message, /sequence/);
});

Deno.test("FeedGuard of a model without inputs takes no feed", async () => {
  const guard = new FeedGuard([], "m");
  guard.check({});
  const error = await expectCode(
    "FEED_UNKNOWN",
    () => guard.check({ x: float32([], [1]) }),
  );
  assert.match(error.fix, /the model takes no input/);
});

Deno.test("FeedGuard refuses feeds that are no object, with the inputs' names", async () => {
  const guard = new FeedGuard([SPEC], "m");
  for (const feeds of [null, undefined, "x", 3]) {
    const error = await expectCode("FEED_DATA", () => guard.check(feeds as never));
    assert.match(error.message, /the feeds are (null|of type)/);
    assert.match(error.fix, /takes "x"/);
  }
  await expectCode("FEED_DATA", () => guard.check({ x: 3 as never }));
});
