// What the tests of trace comparison share: traces written line by line, and folders that go away.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fixturePath } from "../support/fixture_path.ts";

/** A line of a trace before it is text. */
export type Row = Record<string, unknown>;

/** A folder for traces; disposing of it removes it. */
export class TraceFolder implements Disposable {
  readonly #path = mkdtempSync(join(tmpdir(), "hookline-diff-"));
  #count = 0;

  /** Writes a trace and gives its path: a row becomes a line, a text stands as it is. */
  write(rows: readonly (Row | string)[], end = "\n"): string {
    const lines = rows.map((row) => typeof row === "string" ? row : JSON.stringify(row));
    return this.text(lines.join("\n") + end);
  }

  /** Writes a file as it is. */
  text(text: string): string {
    const path = join(this.#path, `${this.#count++}.jsonl`);
    writeFileSync(path, text);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.#path, { recursive: true });
  }
}

/** A record of a small tensor. */
export function row(module: string, fields: Row = {}): Row {
  return {
    module,
    tensor: "out",
    step: null,
    abs_mean: 0.5,
    sum: 3,
    min: -1.5,
    max: 2,
    mean: 0.25,
    std: 0.75,
    shape: [2, 6],
    dtype: "torch.float32",
    ...fields,
  };
}

/** Records of `steps` steps of modules `layers.0` to `layers.N`. */
export function trace(modules: number, steps = 1): Row[] {
  return Array.from({ length: modules * steps }, (_, at) =>
    row(`layers.${at % modules}`, {
      step: steps === 1 ? null : Math.floor(at / modules),
      abs_mean: 0.5 + (at % 97) / 100,
      sum: Math.sin(at),
    }));
}

/** The trace that FastVideo's hooks wrote of a fixture. */
export function fastvideoTrace(name: string): string {
  return fixturePath("torch", name, "trace.fastvideo.jsonl");
}

/** Its records. */
export function fastvideoRows(name: string): Row[] {
  return readFileSync(fastvideoTrace(name), "utf8").trimEnd().split("\n")
    .map((line) => JSON.parse(line) as Row);
}
