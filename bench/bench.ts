// What a benchmark is, and what it is given to run with: how many rounds, and a folder with the models
// that several benchmarks share, each written once.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BenchRow } from "./bench_row.ts";
import { writeLargeModel } from "./large_model.ts";
import { type TransformerReport, writeTransformer } from "./transformer_model.ts";

/** A benchmark: one file in bench/. */
export interface Bench {
  /** What `--only` selects. */
  readonly name: string;
  /** One line for people. */
  readonly description: string;
  /** Measures. */
  run(context: BenchContext): Promise<readonly BenchRow[]>;
}

/** What a benchmark runs with. */
export interface BenchContext {
  /** The shared models. */
  readonly models: ModelFolder;
  /** Threads of every session. */
  readonly threads: number;
  /** The number of rounds: `usual`, or what the caller wants instead. */
  rounds(usual: number): number;
  /** Progress for people, on standard error. */
  log(message: string): void;
}

/** A model on disk. */
export interface ModelFile extends TransformerReport {
  /** Where it lies. */
  readonly path: string;
}

/** A temporary folder whose models are written on first use and removed together. */
export class ModelFolder {
  /** The folder. */
  readonly path: string = mkdtempSync(join(tmpdir(), "hookline-bench-"));
  readonly #files = new Map<string, ModelFile>();

  /** 12 blocks, 100 MB of weights inside the file. */
  transformer(): ModelFile {
    return this.#file("transformer.onnx", (path) => writeTransformer(path));
  }

  /** 24 blocks, 2.1 GB of weights inside the file. */
  large(): ModelFile {
    return this.#file("large.onnx", writeLargeModel);
  }

  /** 24 equal blocks, 1.06 GB of weights inside the file. */
  blocks(): ModelFile {
    const shape = { blocks: 24, width: 960, heads: 16 };
    return this.#file("blocks.onnx", (path) => writeTransformer(path, shape));
  }

  /** Removes the folder. */
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  #file(name: string, write: (path: string) => TransformerReport): ModelFile {
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    const path = join(this.path, name);
    const file = { path, ...write(path) };
    this.#files.set(name, file);
    return file;
  }
}
