import assert from "node:assert/strict";
import { openHost } from "../../../parity/compare/open_host.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import { chainModel } from "../../pipeline/_small_models.ts";
import { expectCode } from "../../sessions/expect_code.ts";

Deno.test("openHost() decides engine, provider and threads, and opens no session", async () => {
  const host = await openHost(chainModel(), { engine: "napi", provider: "cpu", threads: 3 });
  assert.deepEqual(host.settings, { provider: "cpu", optimization: "all", threads: 3 });
  assert.equal(host.engine.name, "napi");
  assert.deepEqual(openSessions(), []);
});

Deno.test("openHost() refuses what openModel refuses", async () => {
  await expectCode("PROVIDER_UNKNOWN", () => openHost(chainModel(), { provider: "gpu" as "cpu" }));
  await expectCode("OPTION_INVALID", () => openHost(chainModel(), { threads: 0 }));
});
