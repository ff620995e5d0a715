import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { dispatch } from "../../hooks/dispatch.ts";
import { HookRegistry } from "../../hooks/hook_registry.ts";
import { call, coded, forward, hook, logger, MODULE, x } from "./_test_hook.ts";

const fail = () => assert.fail("stuck");

Deno.test("V6 VD7 row 3 remove() always runs onDetach, exactly once", async () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  const handle = registry.register(logger("a", log));
  await registry.remove("a");
  await handle.remove();
  handle[Symbol.dispose]();
  await assert.rejects(registry.remove("a"), coded("HOOK_UNKNOWN"));
  assert.deepEqual(log, ["attach a", "detach a"]);
});

Deno.test("remove() takes effect for the next call and detaches when the last running one has ended", async () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  registry.register(logger("a", log));
  const first = registry.acquire();
  const second = registry.acquire();
  assert.equal(registry.runningCalls, 2);
  let removed = false;
  const removal = registry.remove("a").then(() => removed = true);
  assert.equal(registry.size, 0);
  using third = registry.acquire();
  assert.equal(third.order.entering.length, 0);
  first.release();
  first.release();
  await sleep(0);
  assert.deepEqual([removed, log], [false, ["attach a"]]);
  second.release();
  await removal;
  assert.deepEqual(log, ["attach a", "detach a"]);
});

Deno.test("remove() waits for an asynchronous onDetach and throws its failure", async () => {
  const registry = new HookRegistry(MODULE);
  let detached = false;
  registry.register(
    hook({ name: "a", onDetach: () => sleep(1).then(() => void (detached = true)) }),
  );
  await registry.remove("a");
  assert.ok(detached);
  registry.register(hook({ name: "b", onDetach: () => sleep(0).then(fail) }));
  await assert.rejects(registry.remove("b"), coded("HOOK_THROWN", "onDetach", "stuck"));
  await registry.settled();
});

Deno.test("remove() awaited by the hook itself does not wait for its own call", async () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  registry.register(logger("a", log, {
    preForward: async () => {
      await registry.remove("a");
      log.push("removed");
    },
  }));
  {
    using lease = registry.acquire();
    await dispatch(lease.order, call(), x(1), forward(log));
  }
  assert.equal(log.join(), "attach a,removed,forward,post a,detach a");
});

Deno.test("F7 FD10 clear() detaches every hook, also when one of them fails", async () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  registry.register(logger("a", log, { onDetach: fail }));
  registry.register(logger("b", log));
  await assert.rejects(registry.clear(), coded("HOOK_THROWN", '"a"'));
  assert.deepEqual([registry.size, log.includes("detach b")], [0, true]);
  for (const name of ["c", "d"]) registry.register(hook({ name, onDetach: fail }));
  await assert.rejects(registry.clear(), AggregateError);
});

Deno.test("settled() throws the failures that nobody could await, once", async () => {
  const registry = new HookRegistry(MODULE);
  registry.register(hook({ name: "a", onDetach: () => sleep(0).then(fail) }));
  registry.register(hook({ name: "a" }), { replace: true });
  registry.register(hook({ name: "b", onDetach: fail }));
  registry.register(hook({ name: "b" }), { replace: true });
  await assert.rejects(registry.settled(), AggregateError);
  await registry.settled();
});

Deno.test("settled() waits for hooks that a running call still holds", async () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  const handle = registry.register(logger("a", log));
  const lease = registry.acquire();
  handle[Symbol.dispose]();
  const settled = registry.settled().then(() => log.push("settled"));
  await sleep(0);
  lease.release();
  await settled;
  assert.deepEqual(log, ["attach a", "detach a", "settled"]);
});
