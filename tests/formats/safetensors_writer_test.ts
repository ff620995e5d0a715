import assert from "node:assert/strict";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HooklineError } from "../../errors/hookline_error.ts";
import { decodeSafetensors } from "../../formats/safetensors.ts";
import { openSafetensors } from "../../formats/safetensors_file.ts";
import { openSafetensorsWriter, recoverSafetensors } from "../../formats/safetensors_writer.ts";
import { float32, tensor } from "../../tensor/tensor.ts";

function folder(): Disposable & { readonly path: (name: string) => string } {
  const root = mkdtempSync(join(tmpdir(), "hookline-writer-"));
  return {
    path: (name) => join(root, name),
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}

const read = (path: string) => decodeSafetensors(new Uint8Array(readFileSync(path)), path);
const hasCode = (code: string) => (error: unknown) =>
  error instanceof HooklineError && error.code === code;

Deno.test("openSafetensorsWriter() writes a file that the strict reader takes", async () => {
  using dir = folder();
  const path = dir.path("a.safetensors");
  await using writer = await openSafetensorsWriter(path, { metadata: { model: "m", a: "1" } });
  await writer.write("x/é", float32([2, 2], [1, 2, 3, 4]));
  await writer.write("mask", tensor("bool", [3], Uint8Array.of(1, 0, 1)));
  await writer.write("ids", tensor("int64", [2], BigInt64Array.of(-1n, 7n)));
  await writer.write("none", float32([0, 4], []));
  assert.equal(existsSync(path), false, "nobody sees a half-written file");
  await writer.close();
  await writer.close();
  await using file = await openSafetensors(path);
  assert.deepEqual(file.metadata, { status: "complete", a: "1", model: "m" });
  assert.deepEqual(writer.names, ["x/é", "mask", "ids", "none"]);
  const tensors = read(path);
  assert.deepEqual([...tensors["x/é"]?.data as Float32Array], [1, 2, 3, 4]);
  assert.deepEqual(tensors["ids"]?.data, BigInt64Array.of(-1n, 7n));
  assert.deepEqual(tensors["none"]?.shape, [0, 4]);
});

Deno.test("openSafetensorsWriter() moves the data when the header outgrows its room", async () => {
  using dir = folder();
  const path = dir.path("many.safetensors");
  await using writer = await openSafetensorsWriter(path, { headerByteLength: 128 });
  for (let at = 0; at < 40; at++) await writer.write(`tensor.${at}`, float32([3], [at, at, at]));
  await writer.close();
  const tensors = read(path);
  assert.equal(Object.keys(tensors).length, 40);
  for (let at = 0; at < 40; at++) {
    assert.deepEqual([...tensors[`tensor.${at}`]?.data as Float32Array], [at, at, at]);
  }
  assert.equal(existsSync(`${path}.wider.partial`), false);
});

Deno.test("openSafetensorsWriter() takes the values at the call, whatever becomes of the buffer", async () => {
  using dir = folder();
  const path = dir.path("reused.safetensors");
  await using writer = await openSafetensorsWriter(path);
  const data = new Float32Array([1, 2]);
  const first = writer.write("first", float32([2], data));
  data.fill(9);
  const second = writer.write("second", float32([2], data));
  await Promise.all([first, second]);
  await writer.close();
  assert.deepEqual([...read(path)["first"]?.data as Float32Array], [1, 2]);
  assert.deepEqual([...read(path)["second"]?.data as Float32Array], [9, 9]);
});

Deno.test("openSafetensorsWriter() refuses a name twice, strings and a closed writer, and goes on after", async () => {
  using dir = folder();
  const path = dir.path("refused.safetensors");
  const writer = await openSafetensorsWriter(path);
  await writer.write("x", float32([1], [1]));
  await assert.rejects(writer.write("x", float32([1], [2])), hasCode("FILE_WRITE"));
  await assert.rejects(writer.write("s", tensor("string", [1], ["a"])), hasCode("FILE_WRITE"));
  await assert.rejects(writer.write("__metadata__", float32([1], [1])), hasCode("FILE_WRITE"));
  await writer.write("y", float32([1], [3]));
  await writer.close();
  assert.deepEqual(Object.keys(read(path)), ["x", "y"]);
  await assert.rejects(writer.write("z", float32([1], [1])), hasCode("FILE_WRITE"));
});

Deno.test("openSafetensorsWriter() reports a folder that does not exist as FILE_WRITE", async () => {
  await assert.rejects(
    openSafetensorsWriter("/nowhere/at/all/x.safetensors"),
    hasCode("FILE_WRITE"),
  );
});

Deno.test("openSafetensorsWriter() keeps the old file until the new one is whole", async () => {
  using dir = folder();
  const path = dir.path("old.safetensors");
  writeFileSync(path, "old");
  const writer = await openSafetensorsWriter(path);
  await writer.write("x", float32([1], [1]));
  await writer.abandon();
  assert.equal(readFileSync(path, "utf8"), "old");
  await assert.rejects(writer.close(), hasCode("FILE_WRITE"));
});

Deno.test("recoverSafetensors() saves every whole tensor, wherever the process died", async () => {
  using dir = folder();
  const path = dir.path("killed.safetensors");
  const writer = await openSafetensorsWriter(path, { headerByteLength: 1024 });
  await writer.write("a", float32([4], [1, 2, 3, 4]));
  await writer.write("b", float32([2], [5, 6]));
  await writer.abandon();
  const partial = `${path}.partial`;
  const whole = new Uint8Array(readFileSync(partial));
  assert.deepEqual(Object.keys(read(partial)), ["a", "b"], "sound between two writes");

  // Died after the data of a third tensor, before its entry.
  writeFileSync(partial, new Uint8Array([...whole, 7, 7, 7, 7, 7]));
  assert.deepEqual(await recoverSafetensors(path), { names: ["a", "b"], droppedByteLength: 5 });
  await using file = await openSafetensors(path);
  assert.equal(file.metadata["status"], "partial");

  // Died within an entry: each length of the torn text.
  const text = new TextDecoder().decode(whole.subarray(8, 8 + 1024)).trimEnd();
  for (let cut = text.indexOf(`,"b"`) + 1; cut < text.length; cut += 5) {
    const torn = whole.slice();
    torn.fill(0x20, 8 + cut, 8 + text.length);
    writeFileSync(partial, torn);
    assert.deepEqual((await recoverSafetensors(path)).names, ["a"], `cut at ${cut}`);
    assert.deepEqual([...read(path)["a"]?.data as Float32Array], [1, 2, 3, 4]);
  }
});

Deno.test("recoverSafetensors() saves all that a killed process had written", async () => {
  using dir = folder();
  const path = dir.path("sigkill.safetensors");
  const module = (file: string) => JSON.stringify(import.meta.resolve(`../../${file}`));
  const code = `
    import { openSafetensorsWriter } from ${module("formats/safetensors_writer.ts")};
    import { float32 } from ${module("tensor/tensor.ts")};
    const writer = await openSafetensorsWriter(${JSON.stringify(path)}, { headerByteLength: 256 });
    for (let at = 0;; at++) {
      await writer.write("t" + at, float32([1000], new Float32Array(1000).fill(at)));
      console.log(at);
    }`;
  const script = dir.path("child.ts");
  writeFileSync(script, code);
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, script],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  while (seen.split("\n").length < 40) seen += (await reader.read()).value ?? "";
  child.kill("SIGKILL");
  for (let part = await reader.read(); !part.done; part = await reader.read()) seen += part.value;
  await child.status;
  const { names } = await recoverSafetensors(path);
  const told = seen.trimEnd().split("\n").length - 1; // the last line may be torn
  assert.ok(names.length >= told, `${names.length} of ${told}`);
  const tensors = read(path);
  names.forEach((name, at) => {
    assert.equal(name, `t${at}`);
    assert.ok((tensors[name]?.data as Float32Array).every((value) => value === at));
  });
});

Deno.test("recoverSafetensors() refuses what no writer left", async () => {
  using dir = folder();
  const path = dir.path("none.safetensors");
  await assert.rejects(recoverSafetensors(path), hasCode("FILE_WRITE"));
  writeFileSync(`${path}.partial`, "something else altogether");
  await assert.rejects(recoverSafetensors(path), hasCode("FILE_FORMAT"));
  writeFileSync(`${path}.partial`, "");
  await assert.rejects(recoverSafetensors(path), hasCode("FILE_FORMAT"));
  const writer = await openSafetensorsWriter(path);
  await writer.abandon();
  truncateSync(`${path}.partial`, 100);
  await assert.rejects(recoverSafetensors(path), hasCode("FILE_FORMAT"));
  assert.equal(statSync(`${path}.partial`).size, 100, "nothing was changed");
});
