import assert from "node:assert/strict";
import type { AuditEntry } from "../../../manifest/audit.ts";
import { type GuestNotes, takeNotes } from "../../../manifest/isolation/guest_notes.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { specOf } from "./_hosting.ts";

function notesOf(): {
  notes: GuestNotes;
  audited: AuditEntry[];
  logged: string[];
  floods: number[];
} {
  const audited: AuditEntry[] = [];
  const logged: string[] = [];
  const floods: number[] = [];
  const notes = takeNotes(specOf("", { audited, logged }), {
    module: () => "a.b",
    onFlood: () => void floods.push(audited.length),
  });
  return { notes, audited, logged, floods };
}

Deno.test("takeNotes() tells what was denied, on what, and in whose call", () => {
  const { notes, audited } = notesOf();
  for (
    const value of [
      'Requires read access to "/etc/passwd", run again with the --allow-read flag',
      "Requires env access, run again with the --allow-env flag",
      "Deno.symlinkSync() requires unscoped --allow-read and --allow-write permissions",
      "Can't escalate parent thread permissions",
    ]
  ) assert.ok(notes.take({ note: "denied", value }, []));
  assert.ok(notes.take({ note: "tampered", value: "Array.prototype.push" }, []));
  assert.deepEqual(audited.map(({ permission, value }) => [permission, value]), [
    ["read", "/etc/passwd"],
    ["env", null],
    ["write", "Deno.symlinkSync"],
    ["realm", "Can't escalate parent thread permissions"],
    ["intrinsics", "Array.prototype.push"],
  ]);
  assert.deepEqual(audited[0], {
    plugin: "steady",
    permission: "read",
    value: "/etc/passwd",
    module: "a.b",
    decision: "deny",
  });
});

Deno.test("takeNotes() logs lines, each without control characters, of a bounded length", () => {
  const { notes, logged } = notesOf();
  notes.take({ note: "log", text: "one\n\u001b[2Jtwo\u009b\r" }, []);
  notes.take({ note: "log", text: "x".repeat(100_000) }, []);
  assert.deepEqual(logged.slice(0, 2), ["one", "?[2Jtwo??"]);
  assert.equal(logged[2]?.length, 8192);
});

Deno.test("takeNotes() knows no other notes, and believes no forged sink", async () => {
  const { notes } = notesOf();
  assert.equal(notes.take({ note: "grant", value: "everything" }, []), false);
  assert.equal(notes.take({ note: "sink", op: "open" }, []), false);
  // Never opened: what is written to it goes nowhere.
  assert.equal(notes.take({ note: "sink", op: "write", sink: 9, text: "x" }, []), true);
  await expectCode(
    "HOOK_PERMISSION_DENIED",
    () => notes.take({ note: "sink", op: "open", sink: 1, name: "a" }, []),
  );
  assert.ok(notes.take({ note: "sink", op: "open", sink: 2, name: "a", refused: true }, []));
});

Deno.test("takeNotes() stops writing attempts down after ten thousand, and says so once", () => {
  const { notes, audited, floods } = notesOf();
  for (let at = 0; at < 10_050; at++) notes.deny("read", "/x".repeat(2000));
  assert.equal(audited.length, 10_000);
  assert.equal(audited[0]?.value?.length, 1024);
  assert.deepEqual(floods, [10_000]);
});
