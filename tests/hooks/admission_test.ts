import assert from "node:assert/strict";
import fc from "fast-check";
import { admitHook } from "../../hooks/admission.ts";
import type { HookAccess, ModelHook } from "../../hooks/model_hook.ts";
import { coded, hook, type HookInit, y } from "./_test_hook.ts";

const admit = (init: HookInit) => admitHook(hook(init), "m");

Deno.test("VD6 admitHook() refuses a hook without a resolvable name", () => {
  const nameless = { access: "observe" } as unknown as ModelHook;
  assert.throws(() => admitHook(nameless, "m"), coded("HOOK_NAME_INVALID", '"m"'));
  assert.throws(
    () => admitHook(undefined as unknown as ModelHook, "m"),
    coded("HOOK_NAME_INVALID"),
  );
});

Deno.test("admitHook() holds names to the grammar", () => {
  const good = /^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$/;
  for (const name of ["a", "0", "a.b_c-d", "a".repeat(64)]) {
    assert.equal(admit({ name }).name, name);
  }
  for (const name of ["", "A", "-a", "a-", "a b", "ä", "a".repeat(65), "a\n"]) {
    assert.throws(() => admit({ name }), coded("HOOK_NAME_INVALID"));
  }
  fc.assert(
    fc.property(fc.string({ maxLength: 70 }), (name) => {
      let accepted = true;
      try {
        admit({ name });
      } catch {
        accepted = false;
      }
      assert.equal(accepted, good.test(name));
    }),
    { numRuns: 200 },
  );
});

Deno.test("admitHook() refuses malformed names in before, after and requires", () => {
  for (const field of ["before", "after", "requires"] as const) {
    assert.throws(() => admit({ name: "a", [field]: ["No"] }), coded("HOOK_NAME_INVALID", field));
    assert.throws(
      () => admit({ name: "a", [field]: "b" as unknown as string[] }),
      coded("OPTION_INVALID", field),
    );
  }
});

Deno.test("admitHook() checks access against the methods both ways", () => {
  const newForward = () => y(0);
  const postForward = () => undefined;
  for (const access of ["observe", "edit", "residency"] as const) {
    assert.throws(() => admit({ name: "a", access, newForward }), coded("HOOK_ACCESS", access));
  }
  assert.throws(() => admit({ name: "a", access: "replace", postForward }), coded("HOOK_ACCESS"));
  for (const access of ["observe", "edit"] as const) {
    const empty = { name: "a", access, postForward: undefined } as unknown as HookInit;
    assert.throws(() => admitHook(hook(empty), "m"), coded("HOOK_ACCESS", "neither"));
  }
  for (const access of ["observe", "residency"] as const) {
    const init = { name: "a", access, postForward, changesShape: true };
    assert.throws(() => admit(init), coded("HOOK_ACCESS", "changesShape"));
  }
  assert.equal(admit({ name: "a", access: "replace", newForward }).access, "replace");
});

Deno.test("admitHook() refuses fields of the wrong kind", () => {
  assert.throws(
    () => admit({ name: "a", access: "all" as HookAccess }),
    coded("OPTION_INVALID", "access"),
  );
  assert.throws(
    () => admit({ name: "a", observes: "late" as "raw" }),
    coded("OPTION_INVALID", "observes"),
  );
  for (const maxOriginalCalls of [0, 1.5, NaN, -1]) {
    assert.throws(() => admit({ name: "a", maxOriginalCalls }), coded("OPTION_INVALID"));
  }
  assert.equal(admit({ name: "a", maxOriginalCalls: Infinity }).maxOriginalCalls, Infinity);
});

Deno.test("admitHook() works out readsInputs", () => {
  const preForward = () => undefined;
  const newForward = () => y(0);
  assert.equal(admit({ name: "a" }).readsInputs, false);
  assert.equal(admit({ name: "a", preForward }).readsInputs, true);
  assert.equal(admit({ name: "a", preForward, readsInputs: false }).readsInputs, false);
  assert.equal(admit({ name: "a", readsInputs: true }).readsInputs, true);
  assert.equal(admit({ name: "a", access: "residency", preForward }).readsInputs, false);
  assert.equal(
    admit({ name: "a", access: "replace", newForward, readsInputs: false }).readsInputs,
    true,
  );
});

Deno.test("admitHook() freezes the hook as it was, so that a later change does nothing", () => {
  const changing = hook({ name: "a" });
  const facts = admitHook(changing, "m", { plugin: "p" });
  Object.assign(changing, { name: "b", access: "replace", newForward: () => y(0) });
  assert.ok(Object.isFrozen(facts) && Object.isFrozen(facts.before));
  assert.deepEqual(
    [facts.name, facts.access, facts.methods.newForward, facts.plugin],
    ["a", "observe", null, "p"],
  );
});
