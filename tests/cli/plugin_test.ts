import assert from "node:assert/strict";
import { EXAMPLES } from "../../cli/_examples.ts";
import { SUBCOMMANDS } from "../../cli/_subcommands.ts";
import { assertTwoLines, called, errorOf } from "./_hookline.ts";

const DEEDS = ["new", "check", "grant", "list", "pack", "run-flags"];

Deno.test("hookline plugin says what it can do when it is called without a deed", async () => {
  const error = errorOf(await called(["plugin", "--json"]));
  assert.equal(error["code"], "CLI_USAGE");
  assert.deepEqual([...error["subcommands"] as string[]].sort(), [...DEEDS].sort());
  assertTwoLines(await called(["plugin"]), "CLI_USAGE");
});

Deno.test("hookline plugin suggests the nearest deed and option, and names the whole command", async () => {
  const deed = errorOf(await called(["plugin", "chek", "--json"]));
  assert.equal(deed["fix"], "did you mean check?");
  const option = errorOf(await called(["plugin", "check", "--jsn", "--json"]));
  assert.match(String(option["message"]), /^cannot run `hookline plugin check`: unknown option/);
  assert.equal(option["fix"], "did you mean --json?");
});

Deno.test("every deed of hookline plugin shows its options and examples", async () => {
  for (const deed of DEEDS) {
    const { code, stdout } = await called(["plugin", deed, "--help"]);
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^Usage: hookline plugin ${deed} `));
    assert.match(stdout, new RegExp(`\\$ hookline plugin ${deed}`));
  }
});

Deno.test("every subcommand has examples, and all of them can be parsed", async () => {
  const groups = SUBCOMMANDS.map(({ name }) => name);
  assert.deepEqual(groups.filter((name) => EXAMPLES[name] === undefined), []);
  for (const example of Object.values(EXAMPLES).flat()) {
    // Calls of commands with nothing there to work on: whatever they end with, it is not the parser.
    const words = (example.split(" > ")[0] ?? "").match(/"[^"]*"|[^\s"]+(?:"[^"]*")?/g) ?? [];
    const args = words.map((word) => word.replaceAll('"', ""));
    const { stdout } = await called([...args.filter((arg) => arg !== "--json"), "--help"]);
    assert.match(stdout, /^Usage: hookline /, example);
    const options = args.filter((arg) => arg.startsWith("--"));
    for (const option of options) assert.ok(stdout.includes(option), `${example}: ${option}`);
  }
});
