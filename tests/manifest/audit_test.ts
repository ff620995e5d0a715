import assert from "node:assert/strict";
import { join } from "node:path";
import { type AuditEntry, type AuditRecord, createAuditLog } from "../../manifest/audit.ts";
import { withFolder } from "./_plugin_folders.ts";

const ENTRY: AuditEntry = {
  plugin: "spy",
  permission: "net",
  value: "a.b",
  module: null,
  decision: "deny",
};

Deno.test("createAuditLog() numbers, dates and counts entries, and appends them as JSON lines", async () => {
  await withFolder((folder) => {
    const path = join(folder, "audit.jsonl");
    const records: AuditRecord[] = [];
    {
      using log = createAuditLog({ path, onRecord: (one) => void records.push(one), now: () => 0 });
      log.audit(ENTRY);
      log.audit({ ...ENTRY, decision: "allow", stack: "at plugin" });
      assert.deepEqual(log.counts, { allow: 1, deny: 1 });
    }
    using again = createAuditLog({ path });
    again.audit(ENTRY);
    const lines = Deno.readTextFileSync(path).trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.equal(lines.length, 3);
    assert.deepEqual(lines.slice(0, 2), records);
    assert.deepEqual(lines[0], { v: 1, seq: 0, datetime: "1970-01-01T00:00:00.000Z", ...ENTRY });
    assert.equal(lines[1].stack, "at plugin");
  });
});

Deno.test("createAuditLog() counts without a file, and after it is closed", () => {
  const log = createAuditLog();
  log[Symbol.dispose]();
  log.audit(ENTRY);
  assert.equal(log.counts.deny, 1);
});

Deno.test("createAuditLog() names a file that cannot be written", () => {
  assert.throws(() => createAuditLog({ path: "/nowhere/audit.jsonl" }), { code: "FILE_WRITE" });
});
