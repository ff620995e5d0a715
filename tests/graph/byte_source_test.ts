import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type ByteSource, fileSource, memorySource } from "../../graph/byte_source.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { skippable } from "../skippable.ts";

function withFolder(action: (folder: string) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "hookline-source-"));
    try {
      await action(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

Deno.test(
  "a file and memory give the same bytes at every offset, across the window too",
  withFolder((folder) => {
    const bytes = Uint8Array.from({ length: 200_000 }, (_, index) => (index * 31) % 251);
    writeFileSync(join(folder, "a"), bytes);
    using file = fileSource(join(folder, "a"));
    using memory = memorySource(bytes);
    assert.equal(file.byteLength, memory.byteLength);
    fc.assert(fc.property(fc.nat(200_010), fc.nat(70_000), (offset, length) => {
      const fits = Math.min(length, Math.max(0, bytes.length - offset));
      assert.equal(file.byteAt(offset), memory.byteAt(offset));
      assert.deepEqual(file.read(offset, fits), memory.read(offset, fits));
    }));
  }),
);

Deno.test("read() gives a copy that the reader may keep and change", () => {
  const bytes = Uint8Array.of(1, 2, 3);
  using source = memorySource(bytes);
  source.read(0, 3)[0] = 9;
  assert.equal(bytes[0], 1);
});

Deno.test("byteAt() is -1 at and after the end", () => {
  using source = memorySource(Uint8Array.of(1));
  assert.deepEqual([source.byteAt(0), source.byteAt(1), source.byteAt(99)], [1, -1, -1]);
});

Deno.test(
  "a file that shrinks while it is read is MODEL_TRUNCATED, not a hang",
  withFolder(async (folder) => {
    const path = join(folder, "a");
    writeFileSync(path, new Uint8Array(100_000));
    using source = fileSource(path);
    truncateSync(path, 10);
    await expectCode("MODEL_TRUNCATED", () => source.read(0, 100_000));
    await expectCode("MODEL_TRUNCATED", () => source.byteAt(50_000));
  }),
);

Deno.test(
  "fileSource() names what is missing or no file",
  withFolder(async (folder) => {
    const missing = await expectCode("MODEL_NOT_FOUND", () => fileSource(join(folder, "nowhere")));
    assert.match(missing.message, /no such file/);
    mkdirSync(join(folder, "sub"));
    const folderError = await expectCode("MODEL_NOT_FOUND", () => fileSource(join(folder, "sub")));
    assert.match(folderError.message, /not a regular file/);
  }),
);

Deno.test({
  ...skippable(
    "fileSource() refuses a named pipe instead of waiting for a writer",
    Deno.build.os === "windows" ? "Windows has no mkfifo" : undefined,
  ),
  fn: withFolder(async (folder) => {
    await new Deno.Command("mkfifo", { args: [join(folder, "pipe")] }).output();
    await expectCode("MODEL_NOT_FOUND", () => fileSource(join(folder, "pipe")));
  }),
});

Deno.test(
  "fileSource() closes its file once, and leaves none open when it fails",
  withFolder((folder) => {
    writeFileSync(join(folder, "a"), "x");
    const source: ByteSource = fileSource(join(folder, "a"));
    source[Symbol.dispose]();
    source[Symbol.dispose]();
    assert.throws(() => source.read(0, 1));
  }),
);

Deno.test(
  "fileSource() is MODEL_READ_DENIED without the permission to read",
  withFolder(async (folder) => {
    const script = `
      import { fileSource } from "${new URL("../../graph/byte_source.ts", import.meta.url)}";
      try { fileSource("/etc/hostname"); } catch (error) { console.log(error.code); }`;
    writeFileSync(join(folder, "a.ts"), script);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--no-check",
        `--config=${new URL("../../deno.json", import.meta.url).pathname}`,
        join(folder, "a.ts"),
      ],
      env: { NO_COLOR: "1" },
    }).output();
    assert.equal(new TextDecoder().decode(stdout).trim(), "MODEL_READ_DENIED");
  }),
);
