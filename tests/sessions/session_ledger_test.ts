import assert from "node:assert/strict";
import { openSessions, SessionLedger } from "../../sessions/session_ledger.ts";

const ENTRY = {
  label: "a",
  engine: "napi",
  provider: "cpu",
  byteLength: 10,
  threads: 2,
} as const;

Deno.test("SessionLedger lists what is open in the order of opening", () => {
  const ledger = new SessionLedger();
  const strikeOff = ledger.add(ENTRY);
  ledger.add({ ...ENTRY, label: "b", byteLength: 5 });
  const snapshot = ledger.openSessions();
  assert.deepEqual(
    snapshot.map(({ order, label }) => [order, label]),
    [[0, "a"], [1, "b"]],
  );
  assert.equal(ledger.byteLength, 15);
  strikeOff();
  strikeOff();
  assert.equal(ledger.count, 1);
  assert.equal(ledger.openedTotal, 2);
  assert.equal(ledger.byteLength, 5);
  assert.equal(snapshot.length, 2);
});

Deno.test("openSessions() is empty when nothing is open", () => {
  assert.deepEqual(openSessions(), []);
});
