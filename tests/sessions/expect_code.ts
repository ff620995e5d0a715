// One assertion that the session tests share: something failed with a given code, and said what to do.

import assert from "node:assert/strict";
import type { ErrorCode } from "../../errors/codes.ts";
import { HooklineError } from "../../errors/hookline_error.ts";

/** Awaits or calls `action` and returns the error that it must fail with. */
export async function expectCode(
  code: ErrorCode,
  action: () => unknown,
): Promise<HooklineError> {
  try {
    await action();
  } catch (error) {
    assert.ok(error instanceof HooklineError, `not a HooklineError: ${error}`);
    assert.equal(error.code, code, error.message);
    assert.ok(error.fix.length > 0 && !error.message.endsWith("."));
    assert.ok(!error.message.includes("\n"), error.message);
    return error;
  }
  assert.fail(`nothing failed, ${code} was expected`);
}
