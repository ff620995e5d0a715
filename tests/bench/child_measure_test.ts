import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { measureChild } from "../../bench/child_measure.ts";
import { skippable } from "../skippable.ts";

const noPeak = existsSync("/proc/self/status") ? undefined : "no /proc to read memory from";

function deno(code: string): string[] {
  return [Deno.execPath(), "eval", "--no-lock", code];
}

Deno.test("measureChild() gives standard output and wall time", async () => {
  const measure = await measureChild(
    deno("await new Promise((r) => setTimeout(r, 50)); console.log(7)"),
  );
  assert.equal(measure.stdout, "7\n");
  assert.ok(measure.elapsedMs >= 50);
  assert.equal(measure.peakByteLength, null);
});

Deno.test({
  ...skippable("measureChild() sees the most that a child held, not what its parent holds", noPeak),
  async fn() {
    const own = new Uint8Array(300_000_000).fill(1); // must not show in the children
    const idle = await measureChild(deno("1"), { peak: true });
    const busy = await measureChild(
      deno("let a = new Uint8Array(150_000_000).fill(1); console.log(a[9]); a = null;"),
      { peak: true },
    );
    assert.equal(own[7], 1);
    const [low, high] = [idle.peakByteLength ?? NaN, busy.peakByteLength ?? NaN];
    assert.ok(low > 10e6 && low < 200e6, String(low));
    assert.ok(high - low > 120e6 && high - low < 200e6, `${low} ${high}`);
  },
});

Deno.test("measureChild() refuses a child that fails, with what it said", async () => {
  const failing = deno("console.error('broken'); Deno.exit(3)");
  await assert.rejects(measureChild(failing), /status 3: broken/);
  await assert.rejects(measureChild(failing, { peak: true }), /status 3: broken/);
});
