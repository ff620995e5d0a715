// The environment, read only where that is granted.

import assert from "node:assert/strict";
import { join } from "node:path";
import { isGranted, isSwitchedOn, readVariable, setVariable } from "../../host/environment.ts";
import { expectCode } from "../sessions/expect_code.ts";

const ADAPTER = new URL("../../host/environment.ts", import.meta.url).href;

Deno.test("readVariable() reads what is set and gives undefined for what is not", () => {
  Deno.env.set("HOOKLINE_TEST_READ", "value");
  assert.equal(readVariable("HOOKLINE_TEST_READ"), "value");
  Deno.env.delete("HOOKLINE_TEST_READ");
  assert.equal(readVariable("HOOKLINE_TEST_READ"), undefined);
});

Deno.test("setVariable() sets a variable and says so", () => {
  assert.equal(setVariable("HOOKLINE_TEST_SET", "1"), true);
  assert.equal(Deno.env.get("HOOKLINE_TEST_SET"), "1");
  Deno.env.delete("HOOKLINE_TEST_SET");
});

/** What a script prints in a process of its own. */
function run(script: string, grants: readonly string[]): string {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(join(folder, "ask.ts"), script);
    const { stdout } = new Deno.Command(Deno.execPath(), {
      args: ["run", ...grants, join(folder, "ask.ts")],
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
      stdin: "null",
    }).outputSync();
    return new TextDecoder().decode(stdout).trim();
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("isGranted() and what stands on it ask nobody for what is not granted", () => {
  const seen = run(
    `import * as host from ${JSON.stringify(ADAPTER)};
     console.log(JSON.stringify([
       host.isGranted({ name: "env", variable: "HOOKLINE_TRACE_STATS" }),
       host.isGranted({ name: "env", variable: "HOME" }),
       host.isGranted({ name: "read", path: "/etc/hostname" }),
       host.readVariable("HOME") ?? null,
       host.setVariable("PATH", "x"),
     ]));`,
    ["--allow-env=HOOKLINE_*"],
  );
  assert.deepEqual(JSON.parse(seen), [true, false, false, null, false]);
  assert.equal(isGranted({ name: "env", variable: "HOME" }), true);
});

Deno.test("isSwitchedOn() knows on from off and refuses the rest", async () => {
  for (const value of ["1", "true", "ON", " yes "]) assert.equal(isSwitchedOn("X", value), true);
  for (const value of [undefined, "", " ", "0", "False", "off", "no"]) {
    assert.equal(isSwitchedOn("X", value), false);
  }
  for (const value of ["2", "maybe", "tru", "-1"]) {
    const error = await expectCode("OPTION_INVALID", () => isSwitchedOn("HOOKLINE_X", value));
    assert.match(error.message, /HOOKLINE_X/);
  }
});
