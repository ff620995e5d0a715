// A JSONL file that survives kills, full disks and company.

import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { JsonlSink, outputPath } from "../../formats/jsonl_sink.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { skippable } from "../skippable.ts";

const SINK = new URL("../../formats/jsonl_sink.ts", import.meta.url).href;
const NO_FULL = existsSync("/dev/full") ? undefined : "there is no /dev/full here";

function inFolder(test: (folder: string) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(Deno.makeTempDirSync(), "sink-"));
    try {
      await test(folder);
    } finally {
      rmSync(join(folder, ".."), { recursive: true });
    }
  };
}

const text = (path: string): string => readFileSync(path, "utf8");

Deno.test(
  "JsonlSink keeps lines in memory until flush(), and appends them at once",
  inFolder((folder) => {
    const path = join(folder, "deep", "er", "a.jsonl");
    using sink = new JsonlSink(path);
    sink.write('{"a":1}');
    sink.write('{"a":2}');
    assert.equal(text(path), "");
    assert.equal(sink.byteLength, 0);
    sink.flush();
    sink.flush();
    assert.equal(text(path), '{"a":1}\n{"a":2}\n');
    assert.equal(sink.byteLength, 16);
  }),
);

Deno.test(
  "JsonlSink appends by default and empties the file with mode new",
  inFolder((folder) => {
    const path = join(folder, "a.jsonl");
    for (const [mode, line] of [["append", "1"], ["append", "2"], ["new", "3"]] as const) {
      using sink = new JsonlSink(path, { mode });
      sink.write(line);
    }
    assert.equal(text(path), "3\n");
    using sink = new JsonlSink(path);
    sink.write("4");
    sink.flush();
    assert.equal(text(path), "3\n4\n");
  }),
);

Deno.test(
  "JsonlSink bounds what waits in memory",
  inFolder((folder) => {
    const path = join(folder, "a.jsonl");
    using sink = new JsonlSink(path, { bufferBytes: 100 });
    let largestWait = 0;
    for (let count = 1; count <= 100; count++) {
      sink.write(String(count).padStart(19, "0"));
      largestWait = Math.max(largestWait, count * 20 - statSync(path).size);
    }
    assert.equal(largestWait, 80);
  }),
);

Deno.test("outputPath() replaces every <pid>, and <tmp> at the front", () => {
  const pid = process.pid;
  assert.equal(outputPath("/a/<pid>/b_<pid>.jsonl"), `/a/${pid}/b_${pid}.jsonl`);
  assert.match(outputPath("<tmp>/x.jsonl"), /^\/.*\/x\.jsonl$/);
  assert.equal(outputPath("x.jsonl"), join(process.cwd(), "x.jsonl"));
});

Deno.test(
  "JsonlSink.close() writes what waits, and later calls do nothing but count",
  inFolder((folder) => {
    const path = join(folder, "a.jsonl");
    const sink = new JsonlSink(path, { fsync: true });
    sink.write("1");
    sink.close();
    sink.close();
    sink.write("2");
    sink.flush();
    assert.equal(text(path), "1\n");
    assert.deepEqual([sink.closed, sink.droppedLines], [true, 1]);
  }),
);

Deno.test(
  "JsonlSink closes a line that a kill left open, so that one line is lost and not two",
  inFolder((folder) => {
    const path = join(folder, "a.jsonl");
    writeFileSync(path, '{"whole":1}\n{"to');
    using sink = new JsonlSink(path);
    sink.write('{"whole":2}');
    sink.flush();
    assert.equal(text(path), '{"whole":1}\n{"to\n{"whole":2}\n');
  }),
);

Deno.test(
  "JsonlSink fails with FILE_WRITE when it cannot open the file",
  inFolder(async (folder) => {
    writeFileSync(join(folder, "file"), "");
    const error = await expectCode("FILE_WRITE", () => new JsonlSink(join(folder, "file", "a")));
    assert.equal(error.details["path"], join(folder, "file", "a"));
    await expectCode("FILE_WRITE", () => new JsonlSink(folder));
  }),
);

Deno.test("JsonlSink refuses options that mean nothing", async () => {
  const make = (options: object) => () => new JsonlSink("<tmp>/never.jsonl", options);
  await expectCode("OPTION_INVALID", make({ mode: "overwrite" }));
  await expectCode("OPTION_INVALID", make({ bufferBytes: NaN }));
  assert.equal(existsSync(outputPath("<tmp>/never.jsonl")), false);
});

Deno.test({
  ...skippable(
    "JsonlSink fails with FILE_WRITE when the disk is full, and holds nothing back",
    NO_FULL,
  ),
  async fn() {
    const sink = new JsonlSink("/dev/full", { mode: "new", fsync: true });
    sink.write("1");
    sink.write("2");
    const error = await expectCode("FILE_WRITE", () => sink.flush());
    assert.match(error.message, /2 lines are lost/);
    assert.equal(error.details["lostLines"], 2);
    sink.flush(); // nothing waits any more
    sink.write("3");
    await expectCode("FILE_WRITE", () => sink.close());
    sink.close();
    assert.equal(sink.closed, true);
  },
});

Deno.test(
  "JsonlSinks of one process and of several may share a file",
  inFolder(async (folder) => {
    const path = join(folder, "a.jsonl");
    const script = join(folder, "write.ts");
    writeFileSync(
      script,
      `import { JsonlSink } from ${JSON.stringify(SINK)};
       using sink = new JsonlSink(${JSON.stringify(path)});
       for (let call = 0; call < 50; call++) {
         for (let line = 0; line < 20; line++) {
           sink.write(JSON.stringify({ who: Deno.args[0], call, line, pad: "x".repeat(line * 7) }));
         }
         sink.flush();
         await new Promise((resolve) => setTimeout(resolve, 0));
       }`,
    );
    const children = ["a", "b", "c"].map((who) =>
      new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", script, who],
        stdin: "null",
      }).output()
    );
    using own = new JsonlSink(path);
    using other = new JsonlSink(path);
    own.write('{"who":"own","call":0,"line":0}');
    other.write('{"who":"other","call":0,"line":0}');
    own.flush();
    other.flush();
    for (const child of children) assert.equal((await child).code, 0);
    const lines = text(path).trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.equal(lines.length, 3 * 50 * 20 + 2);
    for (const who of ["a", "b", "c"]) {
      const order = lines.filter((line) => line.who === who).map(({ call, line }) =>
        call * 20 + line
      );
      assert.deepEqual(order, Array.from({ length: 1000 }, (_, index) => index));
    }
  }),
);

Deno.test(
  "JsonlSink opens with a grant for its file alone, and asks nobody for another",
  inFolder((folder) => {
    const path = join(folder, "a.jsonl");
    appendFileSync(path, "0\n");
    const script = join(folder, "write.ts");
    writeFileSync(
      script,
      `import { JsonlSink } from ${JSON.stringify(SINK)};
       const sink = new JsonlSink(${JSON.stringify(path)});
       sink.write("1");
       sink.close();
       try {
         new JsonlSink(${JSON.stringify(join(folder, "b.jsonl"))});
       } catch (error) {
         console.log(error.code, error.fix);
       }`,
    );
    const { stdout, stderr } = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", `--allow-write=${path}`, script],
      stdin: "null",
      env: { NO_COLOR: "1" },
    }).outputSync();
    const decoder = new TextDecoder();
    assert.equal(
      decoder.decode(stdout).trim(),
      `FILE_WRITE grant it: --allow-write=${join(folder, "b.jsonl")}`,
      decoder.decode(stderr),
    );
    assert.equal(text(path), "0\n1\n");
  }),
);

Deno.test(
  "JsonlSink fails with the grant that is missing, and never prompts",
  inFolder(async (folder) => {
    const path = join(folder, "a.jsonl");
    const { permissions } = Deno;
    const denying = { querySync: () => ({ state: "prompt" }) };
    Object.defineProperty(Deno, "permissions", { value: denying, configurable: true });
    try {
      const error = await expectCode("FILE_WRITE", () => new JsonlSink(path));
      assert.equal(error.fix, `grant it: --allow-write=${path}`);
    } finally {
      Object.defineProperty(Deno, "permissions", { value: permissions, configurable: true });
    }
    assert.equal(existsSync(path), false);
  }),
);
