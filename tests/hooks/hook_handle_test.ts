import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { HookRegistry } from "../../hooks/hook_registry.ts";
import { coded, hook, logger, MODULE } from "./_test_hook.ts";

Deno.test("row 15 HookHandle leaves no hook behind when its scope ends, also by an error", async () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  assert.throws(() => {
    using handle = registry.register(logger("a", log));
    assert.ok(handle.active && handle.name === "a" && handle.hook === registry.get("a"));
    throw new Error("out");
  }, /out/);
  {
    await using _handle = registry.register(hook({
      name: "b",
      onDetach: () => sleep(1).then(() => void log.push("detach b")),
    }));
  }
  assert.deepEqual([registry.size, log], [0, ["attach a", "detach a", "detach b"]]);
  assert.equal(registry.snapshot().entering.length, 0);
});

Deno.test("HookHandle does not remove a hook that took its name later", async () => {
  const registry = new HookRegistry(MODULE);
  const first = registry.register(hook({ name: "a" }));
  await registry.remove("a");
  const second = registry.register(hook({ name: "a" }));
  first[Symbol.dispose]();
  await first.remove();
  assert.deepEqual([first.active, second.active, registry.size], [false, true, 1]);
});

Deno.test("HookHandle throws what onDetach threw at once, and keeps a later failure for settled()", async () => {
  const registry = new HookRegistry(MODULE);
  const now = registry.register(hook({ name: "a", onDetach: () => assert.fail("now") }));
  assert.throws(() => now[Symbol.dispose](), coded("HOOK_THROWN", "now"));
  now[Symbol.dispose]();
  const later = registry.register(
    hook({ name: "b", onDetach: () => sleep(0).then(() => assert.fail("later")) }),
  );
  later[Symbol.dispose]();
  await assert.rejects(registry.settled(), coded("HOOK_THROWN", "later"));
});
