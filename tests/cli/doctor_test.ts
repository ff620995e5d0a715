import assert from "node:assert/strict";
import type { DoctorDocument } from "../../cli/doctor.ts";
import { documentOf, hookline, type Outcome } from "./_hookline.ts";

function diagnosed(outcome: Outcome): DoctorDocument {
  return documentOf(outcome) as unknown as DoctorDocument;
}

const NAMES = [
  "hookline",
  "deno",
  "permission read",
  "permission write",
  "permission ffi",
  "permission env",
  "onnxruntime-node",
  "telemetry",
  "native engine",
  "provider cpu",
  "provider cuda",
  "provider webgpu",
  "engine self-test",
  "session ledger",
];

Deno.test("hookline doctor finds everything good that it needs here", async () => {
  const outcome = await hookline(["doctor", "--json"]);
  assert.equal(outcome.code, 0, outcome.stdout);
  const { checks, status } = diagnosed(outcome);
  assert.deepEqual(checks.map(({ name }) => name), NAMES);
  assert.ok(status === "ok" || status === "warn");
  for (const check of checks) {
    assert.deepEqual(Object.keys(check), ["name", "status", "detail", "fix"]);
    assert.notEqual(check.detail, "");
    // A provider may be missing on this machine; whatever is not good says what to do.
    if (!/cuda|webgpu/.test(check.name)) assert.equal(check.status, "ok", check.detail);
    assert.equal(check.fix === null, check.status === "ok", check.name);
  }
  const selfTest = checks.find(({ name }) => name === "engine self-test");
  assert.match(selfTest?.detail ?? "", /1 tap and in 2 segments/);
});

Deno.test("hookline doctor fails without the engine, and still makes every check", async () => {
  const outcome = await hookline(["doctor", "--json"], { grants: [] });
  assert.equal(outcome.code, 1);
  const { checks, status } = diagnosed(outcome);
  assert.equal(status, "fail");
  const found = new Map(checks.map((check) => [check.name, check]));
  assert.equal(found.get("permission ffi")?.status, "warn");
  assert.equal(found.get("permission write")?.status, "ok");
  assert.equal(found.get("onnxruntime-node")?.status, "fail");
  assert.match(found.get("onnxruntime-node")?.fix ?? "", /--allow-ffi=/);
  assert.equal(found.get("native engine")?.status, "warn");
  assert.match(found.get("native engine")?.fix ?? "", /--allow-ffi without a list of paths/);
  assert.equal(found.get("engine self-test")?.status, "fail");
  assert.equal(found.get("session ledger")?.status, "ok");
});

Deno.test("hookline doctor warns when telemetry cannot be switched off", async () => {
  const outcome = await hookline(["doctor", "--json"], { grants: ["--allow-read", "--allow-ffi"] });
  assert.equal(outcome.code, 0, outcome.stdout);
  const telemetry = diagnosed(outcome).checks.find(({ name }) => name === "telemetry");
  assert.equal(telemetry?.status, "warn");
  assert.match(telemetry?.fix ?? "", /ORT_DISABLE_TELEMETRY/);
});

Deno.test("hookline doctor shows one line a check to people, and the fix below", async () => {
  const { code, stdout } = await hookline(["doctor"]);
  assert.equal(code, 0);
  const lines = stdout.trimEnd().split("\n").filter((line) => !/^ +fix: /.test(line));
  assert.deepEqual(lines.map((line) => line.slice(6, 23).trim()).toSorted(), NAMES.toSorted());
  for (const line of lines) assert.match(line, /^(ok {2}|warn|fail) {2}/);
});
