import assert from "node:assert/strict";
import { trimHeap } from "../../../sessions/native/heap_trim.ts";

Deno.test("trimHeap() says whether anything was given back, as often as it is called", async () => {
  for (let call = 0; call < 3; call++) assert.equal(typeof await trimHeap(), "boolean");
  if (Deno.build.os !== "linux") assert.equal(await trimHeap(), false);
});

Deno.test({
  name: "trimHeap() neither asks nor fails without the permission for native code",
  permissions: { ffi: false },
  fn: async () => assert.equal(await trimHeap(), false),
});
