// A throw-away folder in which the documentation's code runs: it holds the models and inputs that
// the pages may name, so that an example reads `openModel("bert.onnx")` and nothing of this repo.

import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";

/** What a page may name, and what of the repo stands for it. */
export const STAGED: Readonly<Record<string, string>> = {
  "bert.onnx": "tests/fixtures/torch/bert/model.onnx",
  "bert": "tests/fixtures/torch/bert",
  "model.onnx": "tests/fixtures/torch/bert/model.onnx",
  "gpt2.onnx": "tests/fixtures/torch/gpt2_past/model.onnx",
  "gpt2": "tests/fixtures/torch/gpt2_past",
  "unet.onnx": "tests/fixtures/torch/unet/model.onnx",
  "unet": "tests/fixtures/torch/unet",
  "vit.onnx": "tests/fixtures/torch/vit/model.onnx",
  "vit": "tests/fixtures/torch/vit",
};

/** A stage; disposing of it removes the folder. */
export interface Stage extends Disposable {
  /** The folder. */
  readonly path: string;
  /** What of {@linkcode STAGED} the repo does not have. */
  readonly missing: readonly string[];
}

/** Makes a stage with copies of the repo's small models and the commands `deno` and `hookline`. */
export function makeStage(root: string): Stage {
  const path = mkdtempSync(join(tmpdir(), "hookline-stage-"));
  const missing: string[] = [];
  for (const [name, source] of Object.entries(STAGED)) {
    if (!existsSync(join(root, source))) {
      missing.push(source);
      continue;
    }
    mkdirSync(dirname(join(path, name)), { recursive: true });
    cpSync(join(root, source), join(path, name), { recursive: true });
  }
  mkdirSync(join(path, ".bin"));
  const deno = process.execPath;
  const config = join(root, "deno.json");
  shim(join(path, ".bin", "deno"), `exec "${deno}" "$@"`);
  shim(
    join(path, ".bin", "hookline"),
    `exec "${deno}" run -A --no-prompt --unstable-worker-options --config "${config}" ` +
      `"${join(root, "cli/main.ts")}" "$@"`,
  );
  return { path, missing, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function shim(path: string, body: string): void {
  writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
}
