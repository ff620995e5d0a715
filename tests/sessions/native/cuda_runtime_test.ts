// NVIDIA's runtime without NVIDIA: its functions are played by those of the C library, and the device is the
// process's own memory. What is tested is what is called, in which order, and what comes of it.

import assert from "node:assert/strict";
import { type CudaFunctions, CudaRuntime } from "../../../sessions/native/cuda_runtime.ts";
import { deviceLane } from "../../../sessions/device_lane.ts";
import { NativeUploads } from "../../../sessions/native/_device_uploads.ts";
import { handleOf, KeptValues } from "../../../sessions/native/_kept_values.ts";
import { nativeHost } from "../../../sessions/native/_native_host.ts";
import { handleIn, outCell } from "../../../sessions/native/_native_text.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import type { SessionSettings } from "../../../sessions/engine.ts";
import { deviceLedger, type DeviceTensor } from "../../../sessions/device_tensor.ts";
import { expectCode } from "../expect_code.ts";
import { identityModel } from "../tiny_models.ts";
import { skippable } from "../../skippable.ts";

const NOT_LINUX = Deno.build.os === "linux" ? undefined : "the C library is called something else";
const SETTINGS: SessionSettings = {
  provider: "cuda",
  optimization: "disabled",
  threads: 1,
  prepacking: true,
  label: "tiny",
};

/** A runtime whose device is this process. */
class FakeCuda implements CudaFunctions {
  readonly calls: string[] = [];
  /** The code that a function returns the next time. */
  readonly failing = new Map<string, number>();
  /** Copies that are queued and not done. */
  #queued: (() => void)[] = [];
  readonly #libc = Deno.dlopen("libc.so.6", {
    malloc: { parameters: ["usize"], result: "pointer" },
    free: { parameters: ["pointer"], result: "void" },
    memcpy: { parameters: ["pointer", "pointer", "usize"], result: "pointer" },
  });

  cudaSetDevice(device: number): number {
    return this.#did(`device ${device}`, "cudaSetDevice");
  }
  cudaHostAlloc(memory: BigUint64Array<ArrayBuffer>, byteLength: bigint, flags: number): number {
    memory[0] = Deno.UnsafePointer.value(this.#libc.symbols.malloc(byteLength));
    return this.#did(`alloc ${byteLength} ${flags}`, "cudaHostAlloc");
  }
  cudaFreeHost(memory: Deno.PointerValue): number {
    this.#libc.symbols.free(memory);
    return this.#did("free", "cudaFreeHost");
  }
  cudaStreamCreateWithFlags(stream: BigUint64Array<ArrayBuffer>, flags: number): number {
    stream[0] = 7n;
    return this.#did(`stream ${flags}`, "cudaStreamCreateWithFlags");
  }
  cudaStreamDestroy(stream: Deno.PointerValue): number {
    return this.#did(`destroy ${Deno.UnsafePointer.value(stream)}`, "cudaStreamDestroy");
  }
  cudaMemcpyAsync(
    to: Deno.PointerValue,
    from: Deno.PointerValue,
    byteLength: bigint,
    kind: number,
    stream: Deno.PointerValue,
  ): number {
    this.#queued.push(() => this.#libc.symbols.memcpy(to, from, byteLength));
    const place = Deno.UnsafePointer.value(stream);
    return this.#did(`copy ${byteLength} ${kind} on ${place}`, "cudaMemcpyAsync");
  }
  async cudaStreamSynchronize(): Promise<number> {
    await new Promise((resolve) => setTimeout(resolve, 5));
    for (const copy of this.#queued.splice(0)) copy();
    return this.#did("settled", "cudaStreamSynchronize");
  }
  cudaGetErrorString(code: number): Deno.PointerValue {
    this.text = new TextEncoder().encode(`out of luck ${code}\0`);
    return Deno.UnsafePointer.of(this.text);
  }
  text = new Uint8Array(0);

  close(): void {
    this.#libc.close();
  }

  #did(call: string, name: string): number {
    this.calls.push(call);
    const code = this.failing.get(name) ?? 0;
    this.failing.delete(name);
    return code;
  }
}

/** Uploads of a session on the CPU that take it for a device. */
async function withUploads(
  body: (uploads: NativeUploads, cuda: FakeCuda) => Promise<void>,
): Promise<void> {
  const source = {
    kind: "bytes",
    bytes: identityModel("float32", ["n"]),
    weightFolder: null,
  } as const;
  await using session = await new NativeEngine().open(source, { ...SETTINGS, provider: "cpu" });
  const host = nativeHost();
  const cuda = new FakeCuda();
  const kept = new KeptValues(host, SETTINGS);
  const uploads = new NativeUploads(host, {
    session: session.handle,
    settings: SETTINGS,
    memory: host.environment.cpuMemory,
    kept,
    cuda: new CudaRuntime(cuda, 2),
  });
  try {
    await body(uploads, cuda);
  } finally {
    await uploads.close();
    await kept.release();
    const lane = deviceLane(SETTINGS.provider);
    await lane.through(async () => {
      lane.sweep();
      uploads.freeAllocator();
      await Promise.resolve();
    });
    cuda.close();
  }
  assert.deepEqual([deviceLedger.count, deviceLedger.byteLength], [0, 0]);
}

/** The elements of a value: its memory is the process's. */
function elementsOf(value: DeviceTensor): Float32Array {
  const host = nativeHost();
  const cell = outCell();
  host.check(host.api.GetTensorMutableData(handleOf(value), cell));
  const count = value.shape.reduce((product, size) => product * size, 1);
  return new Float32Array(Deno.UnsafePointerView.getArrayBuffer(handleIn(cell), 4 * count)).slice();
}

function test(
  name: string,
  body: (uploads: NativeUploads, cuda: FakeCuda) => Promise<void>,
): void {
  Deno.test({ ...skippable(`NativeUploads ${name}`, NOT_LINUX), fn: () => withUploads(body) });
}

test(
  "with CUDA begin in pinned memory and go over a stream of their own",
  async (uploads, cuda) => {
    const stage = uploads.stage(512);
    assert.equal(stage.isPinned, true);
    const { buffer } = stage.bytes;
    new Float32Array(buffer, 256, 3).set([1, 2, 3]);
    new Float32Array(buffer, 0, 2).set([4, 5]);
    const values = await uploads.allocate([
      { dtype: "float32", shape: [3] },
      { dtype: "float32", shape: [1, 2] },
      { dtype: "float32", shape: [0] },
    ]);
    const places = [256, 0, 512];
    await uploads.copy(stage, values.map((to, at) => ({ byteOffset: places[at] as number, to })));
    assert.deepEqual(cuda.calls, [
      ...["device 2", "alloc 512 0", "device 2", "stream 1"],
      ...["device 2", "copy 12 1 on 7", "device 2", "copy 8 1 on 7", "settled"],
    ]);
    assert.deepEqual(values.slice(0, 2).map(elementsOf), [
      Float32Array.of(1, 2, 3),
      Float32Array.of(4, 5),
    ]);
    stage.release();
    stage.release();
    assert.equal(cuda.calls.filter((call) => call === "free").length, 1);
    const [next] = await uploads.allocate([{ dtype: "float32", shape: [1] }]);
    assert.ok(next !== undefined);
    await uploads.copy(uploads.stage(4), [{ byteOffset: 0, to: next }]);
    assert.equal(cuda.calls.filter((call) => call === "stream 1").length, 1);
    await uploads.close();
    assert.deepEqual(cuda.calls.slice(-2), ["free", "destroy 7"]);
  },
);

test("keep what they write to until they are done, whoever releases it", async (uploads) => {
  const stage = uploads.stage(4);
  const [value] = await uploads.allocate([{ dtype: "float32", shape: [1] }]);
  assert.ok(value !== undefined);
  const copying = uploads.copy(stage, [{ byteOffset: 0, to: value }]);
  value.release();
  const closing = uploads.close();
  await copying;
  await closing;
  await expectCode("SESSION_RELEASED", () => uploads.copy(stage, []));
  await expectCode("SESSION_RELEASED", () => uploads.stage(4));
  await expectCode("SESSION_RELEASED", () => uploads.allocate([]));
});

test("refuse what was released and what does not fit", async (uploads) => {
  const stage = uploads.stage(8);
  const [value, gone] = await uploads.allocate([
    { dtype: "float32", shape: [2] },
    { dtype: "float32", shape: [2] },
  ]);
  assert.ok(value !== undefined && gone !== undefined);
  gone.release();
  await expectCode(
    "SESSION_RELEASED",
    () => uploads.copy(stage, [{ byteOffset: 0, to: value }, { byteOffset: 0, to: gone }]),
  );
  await expectCode("INTERNAL", () => uploads.copy(stage, [{ byteOffset: 4, to: value }]));
  stage.release();
  await expectCode("INTERNAL", () => uploads.copy(stage, [{ byteOffset: 0, to: value }]));
});

test("tell what CUDA says, and go on after it", async (uploads, cuda) => {
  cuda.failing.set("cudaHostAlloc", 2);
  const error = await expectCode("SESSION_RUN", () => uploads.stage(8));
  assert.match(error.message, /CUDA error 2: out of luck 2/);
  const stage = uploads.stage(8);
  const [value] = await uploads.allocate([{ dtype: "float32", shape: [2] }]);
  assert.ok(value !== undefined);
  new Float32Array(stage.bytes.buffer, 0, 2).set([1, 2]);
  for (const failing of ["cudaStreamCreateWithFlags", "cudaMemcpyAsync", "cudaStreamSynchronize"]) {
    cuda.failing.set(failing, 700);
    await expectCode("SESSION_RUN", () => uploads.copy(stage, [{ byteOffset: 0, to: value }]));
  }
  await uploads.copy(stage, [{ byteOffset: 0, to: value }]);
  assert.deepEqual(elementsOf(value), Float32Array.of(1, 2));
});
