import assert from "node:assert/strict";
import { assertNever, HooklineError, internalError } from "../../errors/hookline_error.ts";

Deno.test("HooklineError carries code, fix, frozen details and cause", () => {
  const cause = new Error("below");
  const error = new HooklineError("FEED_RANK", {
    message: 'cannot feed "x"',
    fix: "give two dimensions",
    details: { input: "x" },
    cause,
  });
  assert.ok(error instanceof Error);
  assert.equal(error.name, "HooklineError");
  assert.equal(error.code, "FEED_RANK");
  assert.equal(error.cause, cause);
  assert.ok(Object.isFrozen(error.details));
});

Deno.test("HooklineError has no cause property when none was given", () => {
  assert.equal("cause" in new HooklineError("FEED_RANK", { message: "m", fix: "f" }), false);
});

Deno.test("HooklineError.toJSON() is what the command line prints, without the stack", () => {
  const error = new HooklineError("FEED_RANK", { message: "m", fix: "f", details: { input: "x" } });
  assert.deepEqual(JSON.parse(JSON.stringify(error)), {
    code: "FEED_RANK",
    message: "m",
    fix: "f",
    details: { input: "x" },
  });
});

Deno.test("internalError() and assertNever() say INTERNAL and ask for a report", () => {
  assert.equal(internalError("a rule broke").code, "INTERNAL");
  assert.throws(() => assertNever("surprise" as never), { code: "INTERNAL", message: /surprise/ });
});
