// What it takes to know a model: its module tree on real exports, against decoding the same file; and
// opening 100 MB until it can run, against a plain session.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { openModel } from "../mod.ts";
import type { Bench, BenchContext } from "./bench.ts";
import { type BenchRow, compareContestants } from "./bench_row.ts";
import { race } from "./harness.ts";
import { createPlain, openHooked } from "./subjects.ts";

const FIXTURES = ["bert", "gpt2_past", "unet", "vit"];

/** `open`: module trees and sessions. */
export const openBench: Bench = {
  name: "open",
  description: "module trees of real exports; opening 100 MB until it can run",
  async run(context) {
    const rows: BenchRow[] = [];
    for (const name of FIXTURES) rows.push(await treeRow(context, name));
    rows.push(await structureRow(context), await sessionRow(context));
    return rows;
  },
};

function fixturePath(name: string): string {
  return fileURLToPath(new URL(`../tests/fixtures/torch/${name}/model.onnx`, import.meta.url));
}

function decodeWhole(path: string): number {
  return fromBinary(ModelProtoSchema, readFileSync(path)).graph?.node.length ?? 0;
}

/** Reads the structure and finds the modules; opens no session. */
async function findModules(path: string): Promise<number> {
  await using model = await openModel(path, { provider: "cpu" });
  return model.modules.length;
}

async function treeRow({ rounds, log }: BenchContext, name: string): Promise<BenchRow> {
  log(`open: module tree of ${name}`);
  const path = fixturePath(name);
  const found = await race([
    { name: "decode", run: () => decodeWhole(path) },
    { name: "hookline", run: () => findModules(path) },
  ], { rounds: rounds(50), warmup: 10 });
  return compareContestants(found, { ours: "hookline", peer: "decode" }, {
    name: `open.tree.${name}`,
    versus: "reading and decoding the same file with onnx-buf",
    unit: "ms",
  });
}

async function structureRow({ models, rounds, log }: BenchContext): Promise<BenchRow> {
  log("open: module tree of 100 MB");
  const { path } = models.transformer();
  const found = await race([
    { name: "decode", run: () => decodeWhole(path) },
    { name: "hookline", run: () => findModules(path) },
  ], { rounds: rounds(20) });
  return compareContestants(found, { ours: "hookline", peer: "decode" }, {
    name: "open.tree.transformer",
    versus: "reading and decoding the same 100 MB file with onnx-buf",
    unit: "ms",
  });
}

async function sessionRow({ models, threads, rounds, log }: BenchContext): Promise<BenchRow> {
  log("open: 100 MB until it can run");
  const { path } = models.transformer();
  const found = await race([
    { name: "plain", run: () => createPlain(path, threads) },
    {
      name: "hookline",
      run: async () => {
        await using _model = await openHooked(path, threads);
      },
    },
  ], { rounds: rounds(20), warmup: 2 });
  return compareContestants(found, { ours: "hookline", peer: "plain" }, {
    name: "open.session",
    versus: "InferenceSession.create and release, same options",
    unit: "ms",
  });
}
