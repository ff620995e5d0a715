// Run by session_pool_test.ts: opens, runs and closes a model twice, whole and cut into its blocks. Prints how
// many times its weights the process then holds above what it held before.

import { readFileSync, rmSync } from "node:fs";
import { ModelHook, openModel, tensor, type TensorMap } from "../../mod.ts";
import { blocksModel } from "./residency/_blocks_model.ts";

const WIDTH = 768;
const WEIGHT_BYTES = 4 * 12 * WIDTH * WIDTH * 4;

class Edit extends ModelHook {
  override readonly name = "edit";
  override readonly access = "edit";
  override postForward(_module: unknown, outputs: TensorMap): TensorMap {
    return outputs;
  }
}

/** Memory of this process that no file backs. */
function heldBytes(): number {
  const text = readFileSync("/proc/self/status", "utf8");
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(text)?.[1]) * 1024;
}

async function openRunClose(path: string, isSplit: boolean): Promise<void> {
  await using model = await openModel(path, { provider: "cpu", threads: 2 });
  if (isSplit) {
    for (let block = 0; block < 4; block++) model.registry(`blocks.${block}`).register(new Edit());
  }
  await model.run({ x: tensor("float32", [1, 3, WIDTH], new Float32Array(3 * WIDTH)) });
}

{
  using small = blocksModel();
  await using model = await openModel(small.path, { provider: "cpu", threads: 2 });
  await model.run(small.feeds); // what is loaded once is no part of what closing leaves
}
const file = blocksModel({ width: WIDTH });
try {
  const before = heldBytes();
  const held: number[] = [];
  for (const isSplit of [false, false, true, true]) {
    await openRunClose(file.path, isSplit);
    held.push((heldBytes() - before) / WEIGHT_BYTES);
  }
  console.log(JSON.stringify(held));
} finally {
  rmSync(file.folder, { recursive: true, force: true });
}
