import assert from "node:assert/strict";
import { join } from "node:path";
import { VERSION } from "../../cli/_version.ts";
import { SUBCOMMANDS } from "../../cli/_subcommands.ts";
import config from "../../deno.json" with { type: "json" };
import { fixturePath } from "../support/fixture_path.ts";
import { assertTwoLines, called, denoArgs, documentOf, errorOf, hookline } from "./_hookline.ts";

const BERT = fixturePath("torch", "bert", "model.onnx");

Deno.test("main() prints the package's version", async () => {
  assert.equal(VERSION, config.version);
  assert.deepEqual(await called(["--version"]), { code: 0, stdout: `${VERSION}\n`, stderr: "" });
  assert.deepEqual(documentOf(await called(["--version", "--json"])), { version: VERSION });
});

Deno.test("main() lists every subcommand in its help, and help is no error", async () => {
  for (const args of [["--help"], ["help"], ["-h"]]) {
    const { code, stdout, stderr } = await called(args);
    assert.equal(code, 0);
    assert.equal(stderr, "");
    for (const { name, summary } of SUBCOMMANDS) {
      assert.match(stdout.replaceAll(/\s+/g, " "), new RegExp(`${name} ${summary.slice(0, 20)}`));
    }
  }
});

Deno.test("main() shows a subcommand's options", async () => {
  for (const { name } of SUBCOMMANDS) {
    const long = await called([name, "--help"]);
    assert.equal(long.code, 0, long.stderr);
    assert.match(long.stdout, new RegExp(`^Usage: hookline ${name} `));
    assert.match(long.stdout, /--json/);
    assert.deepEqual(await called(["help", name]), long);
    assert.match(String(documentOf(await called([name, "--help", "--json"]))["help"]), /^Usage: /);
  }
});

Deno.test("main() answers a call without a subcommand with CLI_USAGE and the list", async () => {
  assertTwoLines(await called([]), "CLI_USAGE");
  const error = errorOf(await called(["--json"]));
  assert.equal(error["code"], "CLI_USAGE");
  assert.deepEqual(error["subcommands"], SUBCOMMANDS.map(({ name }) => name));
});

Deno.test("main() answers an unknown subcommand with CLI_USAGE and the nearest ones", async () => {
  const typo = errorOf(await called(["inspct", "x.onnx", "--json"]));
  assert.equal(typo["code"], "CLI_USAGE");
  assert.equal(typo["fix"], "did you mean `hookline inspect`?");
  assert.deepEqual(typo["nearest"], ["inspect"]);
  const later = errorOf(await called(["frobnicate", "--json"]));
  for (const { name } of SUBCOMMANDS) {
    assert.match(String(later["fix"]), new RegExp(`\\b${name}\\b`));
  }
  assertTwoLines(await called(["help", "nothing"]), "CLI_USAGE");
});

Deno.test("main() turns what the parser refuses into CLI_USAGE", async () => {
  const cases: readonly (readonly [readonly string[], RegExp, RegExp])[] = [
    [["inspect"], /missing required argument "model"/, /hookline inspect --help/],
    [["inspect", "a", "b"], /too many arguments/, /hookline inspect --help/],
    [["inspect", BERT, "--jsn"], /unknown option "--jsn"/, /did you mean --json\?/],
    [["run", BERT, "--frobnicate"], /unknown option "--frobnicate"/, /hookline run --help/],
    [["run", BERT, "--provider"], /argument missing/, /hookline run --help/],
    [["run", BERT, "--threads", "two"], /"two" is invalid: it is no number/, /run --help/],
    [["--frobnicate"], /cannot run `hookline`: unknown option/, /hookline --help/],
  ];
  for (const [args, message, fix] of cases) {
    const error = errorOf(await called(["--json", ...args]));
    assert.equal(error["code"], "CLI_USAGE");
    assert.match(String(error["message"]), message);
    assert.match(String(error["fix"]), fix);
  }
});

Deno.test("main() reports a missing, foreign or damaged model with its own code", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = (name: string) => join(folder, name);
    const bytes = await Deno.readFile(BERT);
    await Deno.writeFile(path("short.onnx"), bytes.subarray(0, bytes.length >> 1));
    await Deno.writeTextFile(path("text.onnx"), "<html>not found</html>");
    await Deno.writeFile(path("empty.onnx"), new Uint8Array());
    const cases = [
      ["nowhere.onnx", "MODEL_NOT_FOUND"],
      ["", "MODEL_NOT_FOUND"],
      ["short.onnx", "MODEL_TRUNCATED"],
      ["text.onnx", "MODEL_NOT_ONNX"],
      ["empty.onnx", "MODEL_NOT_ONNX"],
    ] as const;
    for (const subcommand of ["inspect", "run", "verify", "explain"]) {
      for (const [name, code] of cases) {
        const error = errorOf(await called([subcommand, path(name), "--json"]));
        assert.equal(error["code"], code, `${subcommand} ${name}: ${error["message"]}`);
        assertTwoLines(await called([subcommand, path(name)]), code);
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("main() keeps an error's facts beside its code, message and fix", async () => {
  const error = errorOf(await called(["inspect", "/nowhere/model.onnx", "--json"]));
  assert.equal(error["code"], "MODEL_NOT_FOUND");
  assert.equal(error["path"], "/nowhere/model.onnx");
});

Deno.test("hookline needs no grant but reading to inspect, and says what else is missing", async () => {
  const grants = ["--allow-read"];
  const inspected = await hookline(["inspect", BERT, "--json"], { grants });
  assert.equal(inspected.code, 0, inspected.stderr);
  assert.equal(inspected.stderr, "");
  assert.equal(
    errorOf(await hookline(["inspect", BERT, "--json"], { grants: [] }))["code"],
    "MODEL_READ_DENIED",
  );
  const run = await hookline(["run", BERT, "--inputs", fixturePath("torch", "bert"), "--json"], {
    grants,
  });
  const error = errorOf(run);
  assert.equal(error["code"], "ENGINE_UNAVAILABLE");
  assert.match(String(error["fix"]), /--allow-ffi=/);
});

Deno.test("hookline prints the document alone on standard output, and errors on the other", async () => {
  const good = await hookline(["inspect", BERT, "--json"], { env: { FORCE_COLOR: "1" } });
  assert.equal(good.code, 0);
  assert.equal(good.stdout, `${JSON.stringify(documentOf(good), null, 2)}\n`);
  const bad = await hookline(["inspect", "nowhere.onnx"]);
  assertTwoLines(bad, "MODEL_NOT_FOUND");
});

Deno.test("hookline colours only where it is asked to", async () => {
  // deno-lint-ignore no-control-regex
  const escape = /\x1b\[/;
  const piped = await hookline(["inspect", BERT], { env: { NO_COLOR: "" } });
  assert.doesNotMatch(piped.stdout, escape);
  const forced = await hookline(["inspect", BERT], { env: { NO_COLOR: "", FORCE_COLOR: "1" } });
  assert.match(forced.stdout, escape);
  const refused = await hookline(["inspect", BERT], { env: { NO_COLOR: "1", FORCE_COLOR: "1" } });
  assert.doesNotMatch(refused.stdout, escape);
});

Deno.test("hookline shows where an error came from only with HOOKLINE_DEBUG", async () => {
  const { code, stdout, stderr } = await hookline(["inspect", "nowhere.onnx", "--json"], {
    env: { HOOKLINE_DEBUG: "1" },
  });
  assert.equal(code, 2);
  assert.equal(JSON.parse(stdout).error.code, "MODEL_NOT_FOUND");
  assert.match(stderr, /at .*byte_source\.ts/);
});

Deno.test("hookline ends quietly when its reader is gone", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: denoArgs(["inspect", BERT, "--json"]),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await child.stdout.cancel();
  const [{ code }, stderr] = await Promise.all([
    child.status,
    new Response(child.stderr).text(),
  ]);
  assert.equal(stderr, "");
  assert.equal(code, 0);
});

Deno.test({
  name: "hookline is ended by an interrupt at once, with nothing on standard output",
  ignore: Deno.build.os === "windows",
  async fn() {
    const child = new Deno.Command(Deno.execPath(), {
      args: denoArgs([
        "verify",
        BERT,
        "--inputs",
        fixturePath("torch", "bert"),
        "--rounds",
        "10000",
        "--json",
      ]),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    child.kill("SIGINT");
    const [{ signal }, stdout, stderr] = await Promise.all([
      child.status,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    assert.equal(signal, "SIGINT");
    assert.equal(stdout, "");
    assert.equal(stderr, "");
  },
});

Deno.test("hookline shows control and direction characters of names, colours apart, and keeps JSON", async () => {
  const name = "no\u001b[2Jsuch\u202efile\u0007.onnx";
  const words = await hookline(["inspect", name], { env: { NO_COLOR: "", FORCE_COLOR: "1" } });
  assert.equal(words.code, 2);
  assert.match(words.stderr, /no\\u001b\[2Jsuch\\u202efile\\u0007\.onnx/);
  assert.ok(words.stderr.includes("\u001b[31m"), "its own colours pass");
  const { stdout } = await hookline(["inspect", name, "--json"]);
  assert.ok(!stdout.includes("\u202e"));
  assert.ok(JSON.parse(stdout).error.message.includes(name));
});
