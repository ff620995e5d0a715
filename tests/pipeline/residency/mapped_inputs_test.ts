import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { HooklineError } from "../../../errors/hookline_error.ts";
import { inputStream } from "../../../pipeline/residency/input_stream.ts";
import { mappedInputs, mapsInputs } from "../../../pipeline/residency/mapped_inputs.ts";
import type { EngineSession, FileWeight, MappedWeights } from "../../../sessions/engine.ts";
import { NapiEngine } from "../../../sessions/napi_engine.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import {
  openWeightMemory,
  unsteered,
  type WeightMemory,
} from "../../../sessions/mapped_weights/weight_memory.ts";
import type { TensorMap } from "../../../tensor/tensor.ts";
import { skippable } from "../../skippable.ts";
import { blocksModel } from "./_blocks_model.ts";
import { recordingMemory } from "./_recording_memory.ts";
import { feedsOf, openAll, streaming } from "./_streaming.ts";

const STEERED: WeightMemory = { ...unsteered("a test"), canSteer: true };
const linuxAlone = Deno.build.os === "linux" ? undefined : "weights are mapped on Linux alone";

/** An engine that writes down what is mapped; `refusal` is thrown instead. */
class MappingEngine extends NapiEngine {
  readonly log: string[] = [];
  constructor(private readonly refusal: HooklineError | null = null) {
    super();
  }
  mapWeights(): MappedWeights {
    return {
      bind: (session: EngineSession, weights: readonly FileWeight[]) => {
        if (this.refusal !== null) throw this.refusal;
        this.log.push(`bind ${weights.length}`);
        return session;
      },
      [Symbol.dispose]: () => void this.log.push("dispose"),
    };
  }
}

Deno.test("mapsInputs() is true on the CPU where memory is steered and the engine can map", async () => {
  using file = blocksModel();
  const { host } = await streaming(file.path, { count: 1, engine: new MappingEngine() });
  assert.equal(mapsInputs({ host, memory: STEERED }), true);
  assert.equal(mapsInputs({ host, memory: unsteered("a test") }), false);
  assert.equal(mapsInputs({ host: { ...host, provider: "cuda" }, memory: STEERED }), false);
  const napi = { ...host, engine: new NapiEngine() };
  assert.equal(mapsInputs({ host: napi, memory: STEERED }), false);
  assert.equal(mappedInputs({ host: napi, memory: STEERED }, []), null);
});

Deno.test("mappedInputs() moves exactly the pages of a module's weights, and forgets them when closed", async () => {
  using file = blocksModel();
  const engine = new MappingEngine();
  const { host, streamed, weights } = await streaming(file.path, { engine });
  const { memory, log } = recordingMemory();
  const stream = inputStream(host, { ...memory, canSteer: true });
  const openings = [];
  for (const each of streamed) openings.push(await stream.encode(each));
  const [session] = await openAll(host, openings.slice(0, 1));
  stream.opened(streamed.map(() => session ?? null));
  await stream.fetch("blocks.1");
  await stream.release("blocks.1");
  const byteLength = weights.get("blocks.1")?.byteLength;
  assert.deepEqual(log, [`+${byteLength}`, `-${byteLength}`]);
  assert.equal(engine.log.length, 4);
  await stream.closed();
  assert.equal(engine.log.at(-1), "dispose");
  await session?.release();
});

Deno.test("mappedInputs() leaves weights to be read where the system maps no file, and throws the rest", async () => {
  using file = blocksModel();
  const fault = (code: "ENGINE_UNAVAILABLE" | "MODEL_EXTERNAL_RANGE"): HooklineError =>
    new HooklineError(code, { message: "cannot map", fix: "none" });
  const mapping = async (engine: MappingEngine) => {
    const { host, streamed: [first] } = await streaming(file.path, { count: 1, engine });
    assert.ok(first !== undefined);
    const stream = inputStream(host, STEERED);
    const [session] = await openAll(host, [await stream.encode(first)]);
    assert.ok(session != null);
    try {
      stream.opened([session]);
      await stream.fetch(first.module);
      const outputs = await stream.session(first.segment)?.run(feedsOf(first.segment, file.feeds));
      assert.equal(Object.keys(outputs ?? {}).length, 1);
    } finally {
      await stream.closed();
      await session.release();
    }
  };
  const refused = new MappingEngine(fault("ENGINE_UNAVAILABLE"));
  await mapping(refused); // read instead
  assert.deepEqual(refused.log, ["dispose"]);
  const short = new MappingEngine(fault("MODEL_EXTERNAL_RANGE"));
  await assert.rejects(mapping(short), { code: "MODEL_EXTERNAL_RANGE" });
  assert.deepEqual(short.log, ["dispose"]);
});

Deno.test("mappedInputs() refuses a file that was replaced after the sessions were opened", async () => {
  using file = blocksModel();
  using other = blocksModel({ seed: 2 });
  const engine = new MappingEngine();
  const { host, streamed: [first] } = await streaming(file.path, { count: 1, engine });
  assert.ok(first !== undefined);
  const stream = inputStream(host, STEERED);
  const [session] = await openAll(host, [await stream.encode(first)]);
  renameSync(other.path, file.path);
  assert.throws(() => stream.opened([session ?? null]), { code: "MODEL_CHANGED" });
  assert.equal(engine.log.at(-1), "dispose");
  await session?.release();
});

Deno.test({
  ...skippable("weights that are mapped give the bits of weights that are read", linuxAlone),
  async fn() {
    using file = blocksModel();
    using memory = openWeightMemory();
    assert.equal(memory.canSteer, true);
    const outputsOf = async (
      engine: NativeEngine | NapiEngine,
      own: WeightMemory,
    ): Promise<TensorMap[]> => {
      const { host, streamed } = await streaming(file.path, { engine });
      const stream = inputStream(host, own);
      const openings = [];
      for (const each of streamed) openings.push(await stream.encode(each));
      const [session] = await openAll(host, openings.slice(0, 1));
      assert.ok(session != null);
      stream.opened(streamed.map(() => session));
      const outputs: TensorMap[] = [];
      for (const { segment, module } of [...streamed, ...streamed]) {
        await stream.fetch(module);
        outputs.push(await stream.session(segment)?.run(feedsOf(segment, file.feeds)) ?? {});
        await stream.release(module);
      }
      await stream.closed();
      await session.release();
      return outputs;
    };
    const mapped = await outputsOf(new NativeEngine(), memory);
    const read = await outputsOf(new NativeEngine(), unsteered("a test"));
    const plain = await outputsOf(new NapiEngine(), memory);
    assert.deepEqual(mapped, read);
    assert.deepEqual(mapped, plain);
    assert.equal(new Set(mapped.map((outputs) => Object.values(outputs)[0]?.data.join())).size, 4);
  },
});

Deno.test({
  ...skippable("a mapped file that was shortened between runs is refused, not touched", linuxAlone),
  async fn() {
    using file = blocksModel();
    using memory = openWeightMemory();
    const engine = new NativeEngine();
    const { host, streamed: [first] } = await streaming(file.path, { count: 1, engine });
    assert.ok(first !== undefined);
    const stream = inputStream(host, memory);
    const [session] = await openAll(host, [await stream.encode(first)]);
    stream.opened([session ?? null]);
    await stream.fetch(first.module);
    await stream.session(first.segment)?.run(feedsOf(first.segment, file.feeds));
    await stream.release(first.module);
    Deno.truncateSync(file.path, 100);
    await assert.rejects(stream.fetch(first.module), { code: "MODEL_CHANGED" });
    await stream.closed();
    await session?.release();
  },
});
