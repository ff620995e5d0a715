// What offload is for, seen from outside: the memory of a process of its own.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openLinuxMemory } from "../../../sessions/mapped_weights/linux_memory.ts";
import { blocksModel } from "../../pipeline/residency/_blocks_model.ts";
import { skippable } from "../../skippable.ts";

const CHILD = new URL("_memory_child.ts", import.meta.url).pathname;
const WIDTH = 640;
const BLOCKS = 10;
const BLOCK = 12 * WIDTH * WIDTH * 4;

interface ChildResult {
  readonly code: number;
  readonly above: number;
  readonly aboveAfter: number;
  readonly after: number;
  readonly forecast: { readonly peakByteLength: number } | null;
  readonly output: readonly number[];
}

async function child(
  args: readonly [path: string, options: unknown, mode?: string, limit?: number],
  group: string | null = null,
): Promise<ChildResult> {
  const [path, options, mode = "hookline", limit = 0] = args;
  const command = [Deno.execPath(), "run", "-A", CHILD, path, JSON.stringify(options), mode];
  const entering = group === null
    ? []
    : ["sh", "-c", `echo $$ > ${group}/cgroup.procs; exec "$@"`, "sh"];
  const [program = "", ...rest] = [...entering, ...command, String(limit)];
  const { code, stdout, stderr } = await new Deno.Command(program, { args: rest }).output();
  const text = new TextDecoder().decode(stdout).trim().split("\n").at(-1) ?? "";
  if (code !== 0 && mode !== "plain") throw new Error(new TextDecoder().decode(stderr));
  return { code, ...JSON.parse(code === 0 ? text : "{}") };
}

const opened = openLinuxMemory();
const unsteered = typeof opened === "string" ? opened : undefined;
if (typeof opened !== "string") opened[Symbol.dispose]();

Deno.test({
  ...skippable("offload runs ten blocks in the memory of one or two, as it foretold", unsteered),
  async fn() {
    using file = blocksModel({ blocks: BLOCKS, width: WIDTH, heads: 8 });
    const dimensions = { batch: 1, tokens: 3 };
    const cacheFolder = join(file.folder, "cache");
    const cases = [
      [{ dimensions }, 1.5],
      [{ dimensions, cacheFolder }, 1.5],
      [{ dimensions, strategy: "inputs", depth: 1 }, 2.5],
      [{ dimensions, strategy: "sessions" }, 2],
    ] as const;
    for (const [options, most] of cases) {
      const { above, aboveAfter, after, forecast } = await child([file.path, options]);
      const label = JSON.stringify(options);
      assert.ok(above <= most * BLOCK, `${label}: ${above / BLOCK} blocks above`);
      assert.ok(aboveAfter <= most * BLOCK, `${label}: ${aboveAfter / BLOCK} blocks, later`);
      assert.ok(after <= 0.5 * BLOCK, `${label}: ${after / BLOCK} blocks are not given back`);
      assert.ok(forecast !== null && above <= 1.25 * forecast.peakByteLength, `${label}: forecast`);
    }
    const resident = await child([file.path, null]);
    assert.ok(resident.above < 0.5 * BLOCK); // all of it came before
  },
});

Deno.test({
  ...skippable(
    "offload completes under a limit on data that plain onnxruntime-node fails under",
    unsteered,
  ),
  async fn() {
    using file = blocksModel({ blocks: BLOCKS, width: WIDTH, heads: 8 });
    const limit = 4 * BLOCK;
    const plain = await child([file.path, null, "plain", limit]);
    assert.notEqual(plain.code, 0);
    const wanted = await child([file.path, null, "plain"]);
    assert.equal(wanted.code, 0);
    const { output } = await child([
      file.path,
      { strategy: "inputs", depth: 1 },
      "hookline",
      limit,
    ]);
    assertNear(output, wanted.output);
  },
});

const GROUPS = "/sys/fs/cgroup/memory";
const GROUP_LIMIT = 250e6;

/** A control group with a memory limit, or why there is none. */
function limitedGroup(): string | { readonly path: string; readonly [Symbol.dispose]: () => void } {
  const path = join(GROUPS, `hookline-${crypto.randomUUID()}`);
  if (!existsSync(join(GROUPS, "memory.limit_in_bytes"))) return "no memory control group here";
  try {
    mkdirSync(path);
    writeFileSync(join(path, "memory.limit_in_bytes"), String(GROUP_LIMIT));
  } catch {
    return "control groups may not be made here";
  }
  return { path, [Symbol.dispose]: () => rmdirSync(path) };
}

const probe = limitedGroup();
if (typeof probe !== "string") probe[Symbol.dispose]();

Deno.test({
  ...skippable(
    "offload completes in a memory control group that kills plain onnxruntime-node",
    unsteered ?? (typeof probe === "string" ? probe : undefined),
  ),
  async fn() {
    using file = blocksModel({ blocks: 2 * BLOCKS, width: WIDTH, heads: 8 });
    const group = limitedGroup();
    if (typeof group === "string") throw new Error(group);
    using made = group;
    const plain = await child([file.path, null, "plain"], made.path);
    assert.notEqual(plain.code, 0);
    const wanted = await child([file.path, null, "plain"]);
    const { output } = await child([file.path, {}], made.path);
    assertNear(output, wanted.output);
  },
});

function assertNear(found: readonly number[], wanted: readonly number[]): void {
  assert.ok(wanted.length > 0);
  for (const [index, value] of wanted.entries()) {
    assert.ok(Math.abs(value - (found[index] ?? NaN)) < 1e-4);
  }
}
