// The demo is the first thing that a person runs: it must do what it says on the real model.

import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

Deno.test("demo shows equal bits with and without hooks, and a changed output when one edits", async () => {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "demo/main.ts"],
    cwd: new URL("../../", import.meta.url),
    env: { ORT_DISABLE_TELEMETRY: "1", NO_COLOR: "1" },
    stderr: "piped",
  });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder().decode(stdout);
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  assert.match(text, /silero_vad_16k_op15\.onnx, unmodified: 23 modules/);
  assert.match(text, /whole: no hooks, the file runs untouched in one session/);
  assert.match(text, /tapped: one session with \d+ further outputs/);
  assert.match(
    text,
    /split: 2 segments\n\s+scale edits the outputs of model\.encoder: cut after it/,
  );
  assert.match(text, /bits that differ from the run without hooks: 0\n/);
  assert.match(text, /bits that differ from the first run: 0\n/);
  const [worst] =
    text.match(/model\.encoder\.\d\.reparam_conv +off by .*SQNR [\d.]+ dB, 6 nodes/) ?? [];
  assert.match(worst ?? "", /^model\.encoder\.3\./, "the int8 copy errs most in this convolution");
  assert.match(text, /[1-9]\d* others only pass it on/);
  const page = fileURLToPath(text.match(/report: (file:\S+)/)?.[1] ?? "");
  assert.match(readFileSync(page, "utf8"), /model\.encoder\.3\.reparam_conv/);
  rmSync(dirname(page), { recursive: true });
  assert.match(text, /sessions left open: 0/);
  const [plain, traced, edited] = [...text.matchAll(/speech: (\S+)/g)].map((match) => match[1]);
  assert.equal(traced, plain);
  assert.notEqual(edited, plain);
  assert.match(plain ?? "", /█{5}/, "the detector hears the bursts");
  assert.match(plain ?? "", /▁{20}/, "the detector hears the silence");
});
