import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HooklineError } from "../../../errors/hookline_error.ts";
import type { FileWeight, SessionSettings } from "../../../sessions/engine.ts";
import { mappingRefusal } from "../../../sessions/native/mapped_file.ts";
import { trimHeap } from "../../../sessions/native/heap_trim.ts";
import { NativeCommonWeights } from "../../../sessions/native/native_common_weights.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import type { SharedWeights } from "../../../sessions/native/shared_weights.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import { tensor } from "../../../tensor/tensor.ts";
import { skippable } from "../../skippable.ts";
import { expectCode } from "../expect_code.ts";
import { buildModel } from "../tiny_models.ts";

const WIDTH = 1024; // 4 MiB
const BYTES = 4 * WIDTH * WIDTH;
const SETTINGS: SessionSettings = {
  provider: "cpu",
  optimization: "all",
  threads: 1,
  prepacking: true,
  label: "part",
};
const X = tensor(
  "float32",
  [2, WIDTH],
  Float32Array.from({ length: 2 * WIDTH }, (_, at) => Math.cos(at)),
);

/** Weights with which no session can be created. */
class UnusableWeights extends NativeCommonWeights {
  askedFor = 0;
  override take(): SharedWeights | null {
    return {
      names: new Set(["a"]),
      retain: () => {},
      release: () => {},
      values: {
        handle: () => {
          this.askedFor++;
          throw new HooklineError("SESSION_CREATE", { message: "no kernel", fix: "none" });
        },
      },
    } as unknown as SharedWeights;
  }
}

/** Parts of a model, `y = x · w`, whose weights lie in one file, and that file. */
function withParts(name: string, body: (parts: Parts) => Promise<void>): void {
  Deno.test({
    ...skippable(name, Deno.build.os === "linux" ? mappingRefusal() ?? undefined : "reads /proc"),
    async fn() {
      const folder = mkdtempSync(join(tmpdir(), "hookline-common-"));
      try {
        const path = join(folder, "weights.bin");
        const data = Float32Array.from({ length: 2 * WIDTH * WIDTH }, (_, at) => Math.sin(at));
        writeFileSync(path, new Uint8Array(data.buffer));
        await body(new Parts(folder, path));
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  });
}

class Parts {
  constructor(readonly folder: string, readonly path: string) {}

  weight(name: string, at: number): FileWeight {
    const range = { path: this.path, byteOffset: at * BYTES, byteLength: BYTES };
    return { name, dtype: "float32", shape: [WIDTH, WIDTH], range };
  }

  source(weight: string, at: number) {
    const bytes = buildModel({
      inputs: [{ name: "x", dtype: "float32", shape: ["n", WIDTH] }],
      outputs: [{ name: "y", dtype: "float32", shape: ["n", WIDTH] }],
      nodes: [{ op: "MatMul", inputs: ["x", weight], outputs: ["y"] }],
      weights: [{
        name: weight,
        shape: [WIDTH, WIDTH],
        file: { location: "weights.bin", byteOffset: at * BYTES, byteLength: BYTES },
      }],
    });
    return { kind: "bytes", bytes, weightFolder: this.folder } as const;
  }

  /** Whether the process maps the file. */
  get isMapped(): boolean {
    return readFileSync("/proc/self/maps", "utf8").includes(this.path);
  }
}

withParts("sessions with common weights give the bits of sessions of their own", async (parts) => {
  const engine = new NativeEngine();
  const from = engine.commonWeights([parts.weight("a", 0), parts.weight("b", 1)]);
  const commonWeights = { from, names: ["a", "b", "no weight of theirs"] };
  for (const [name, at] of [["a", 0], ["b", 1], ["a", 0]] as const) {
    await using plain = await engine.open(parts.source(name, at), SETTINGS);
    await using common = await engine.open(parts.source(name, at), { ...SETTINGS, commonWeights });
    const wanted = (await plain.run({ x: X }))["y"]?.data;
    assert.deepEqual((await common.run({ x: X }))["y"]?.data, wanted);
  }
});

withParts(
  "common weights are in memory from the first session to the last, once",
  async (parts) => {
    const engine = new NativeEngine();
    const commonWeights = { from: engine.commonWeights([parts.weight("a", 0)]), names: ["a"] };
    const settings = { ...SETTINGS, commonWeights };
    const residentMiB = async () => {
      await trimHeap();
      const text = readFileSync("/proc/self/status", "utf8");
      return Number(/^RssAnon:\s+(\d+) kB/m.exec(text)?.[1]) / 1024;
    };
    for (let round = 0; round < 2; round++) { // a second time, after they were gone
      const first = await engine.open(parts.source("a", 0), settings);
      const before = await residentMiB();
      const sessions = [];
      for (let index = 0; index < 6; index++) {
        sessions.push(await engine.open(parts.source("a", 0), settings));
      }
      const grown = await residentMiB() - before;
      assert.ok(grown < 8, `six more sessions of 4 MiB took ${grown} MiB`);
      await first.release();
      await sessions[0]?.run({ x: X }); // weights outlive the session that brought them
      assert.ok(parts.isMapped);
      for (const session of sessions) await session.release();
      assert.ok(!parts.isMapped);
    }
  },
);

withParts("a session opens by itself where common weights cannot be used", async (parts) => {
  const engine = new NativeEngine();
  const opens = async (weights: readonly FileWeight[]) => {
    const commonWeights = { from: engine.commonWeights(weights), names: ["a"] };
    await using session = await engine.open(parts.source("a", 0), { ...SETTINGS, commonWeights });
    const { y } = await session.run({ x: X });
    assert.ok(Number.isFinite(Number(y?.data[0])));
    assert.ok(!parts.isMapped);
  };
  const weight = parts.weight("a", 0);
  await opens([{ ...weight, range: { ...weight.range, path: `${parts.path}.gone` } }]);
  await opens([{ ...weight, range: { ...weight.range, byteOffset: 2 * BYTES } }]);
  await opens([{ ...weight, shape: [WIDTH, WIDTH / 2] }]); // bytes and shape differ
  const from = new UnusableWeights([weight]);
  await using session = await engine.open(parts.source("a", 0), {
    ...SETTINGS,
    commonWeights: { from, names: ["a"] },
  });
  assert.equal(from.askedFor, 1);
  await session.release();
  unlinkSync(parts.path);
  const commonWeights = { from: engine.commonWeights([weight]), names: ["a"] };
  await expectCode(
    "SESSION_CREATE",
    () => engine.open(parts.source("a", 0), { ...SETTINGS, commonWeights }),
  );
  assert.equal(openSessions().length, 0);
});
