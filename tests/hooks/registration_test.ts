import assert from "node:assert/strict";
import {
  attachHook,
  refuseConflict,
  requireComplete,
  takesPartNow,
  unknownHook,
} from "../../hooks/registration.ts";
import { admitted, coded, hook, MODULE, order, y } from "./_test_hook.ts";

Deno.test("refuseConflict() lists every rival of a replacing hook", () => {
  const make = (name: string) => hook({ name, access: "replace", newForward: () => y(0) });
  const [first, second, third] = admitted(make("a"), make("b"), make("c"));
  assert.ok(first && second && third);
  refuseConflict(third, [first, second], MODULE);
  const alone = { ...third, chain: false };
  assert.throws(
    () => refuseConflict(alone, [second, first], MODULE),
    coded("HOOK_REPLACE_CONFLICT", '"a", "b"'),
  );
});

Deno.test("attachHook() keeps what onAttach threw as the cause", () => {
  const cause = new Error("why");
  const [facts] = admitted(hook({
    name: "a",
    onAttach: () => {
      throw cause;
    },
  }));
  assert.ok(facts);
  assert.throws(() => attachHook(facts, MODULE), (error: Error) => {
    assert.equal(error.cause, cause);
    return coded("HOOK_ATTACH")(error);
  });
});

Deno.test("requireComplete() names every absent hook at once", () => {
  const made = order(
    hook({ name: "a", requires: ["p", "q"] }),
    hook({ name: "b", requires: ["a"] }),
  );
  assert.throws(() => requireComplete(made), coded("HOOK_ORDER_UNKNOWN", '"p"', '"q"'));
});

Deno.test("unknownHook() says what there is when no name is near", () => {
  assert.match(unknownHook("zzzzzzzz", ["a", "b"], MODULE).fix, /its hooks are "a", "b"/);
  assert.match(unknownHook("z", [], MODULE).fix, /has none/);
});

Deno.test("takesPartNow() blames the hook for a throw, and refuses anything but true and false", () => {
  const asked = (takesPart: () => unknown): boolean => {
    const [facts] = admitted(hook({ name: "a", takesPart: takesPart as () => boolean }));
    assert.ok(facts);
    return takesPartNow(facts, MODULE);
  };
  assert.deepEqual([asked(() => true), asked(() => false)], [true, false]);
  const boom = new Error("boom");
  assert.throws(() =>
    asked(() => {
      throw boom;
    }), (error) => {
    coded("HOOK_THROWN", '"a"', "takesPart", MODULE.path, "boom")(error);
    return (error as Error).cause === boom;
  });
  assert.throws(() => asked(() => Promise.reject(boom)), coded("HOOK_ACCESS", '"a"', "a promise"));
  assert.throws(() => asked(() => 1), coded("HOOK_ACCESS", '"a"', "number"));
  assert.throws(() => asked(() => null), coded("HOOK_ACCESS", '"a"', "null"));
});
