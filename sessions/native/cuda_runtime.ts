// The few functions of NVIDIA's runtime library that copies beside a run need: memory that the system may
// not move, and a stream of their own. The library is the one that the CUDA provider has loaded.
//
// Not run with a device: tests call it through stand-ins for these functions.
// Source: CUDA Runtime API 13, "Memory Management" and "Stream Management".

import { handleIn, outCell } from "./_native_text.ts";

const SYMBOLS = {
  cudaSetDevice: { parameters: ["i32"], result: "i32" },
  cudaHostAlloc: { parameters: ["buffer", "usize", "u32"], result: "i32" },
  cudaFreeHost: { parameters: ["pointer"], result: "i32" },
  cudaStreamCreateWithFlags: { parameters: ["buffer", "u32"], result: "i32" },
  cudaStreamDestroy: { parameters: ["pointer"], result: "i32" },
  cudaMemcpyAsync: {
    parameters: ["pointer", "pointer", "usize", "i32", "pointer"],
    result: "i32",
  },
  cudaStreamSynchronize: { parameters: ["pointer"], result: "i32", nonblocking: true },
  cudaGetErrorString: { parameters: ["i32"], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

type Bytes = Uint8Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>;

/** The library's functions; each returns an error code, 0 for none. */
export interface CudaFunctions {
  cudaSetDevice(device: number): number;
  cudaHostAlloc(memory: Bytes, byteLength: bigint, flags: number): number;
  cudaFreeHost(memory: Deno.PointerValue): number;
  cudaStreamCreateWithFlags(stream: Bytes, flags: number): number;
  cudaStreamDestroy(stream: Deno.PointerValue): number;
  cudaMemcpyAsync(
    to: Deno.PointerValue,
    from: Deno.PointerValue,
    byteLength: bigint,
    kind: number,
    stream: Deno.PointerValue,
  ): number;
  cudaStreamSynchronize(stream: Deno.PointerValue): Promise<number>;
  /** The code in words. */
  cudaGetErrorString(code: number): Deno.PointerValue;
}

/** `cudaHostAllocDefault`, `cudaStreamNonBlocking`, `cudaMemcpyHostToDevice`. */
const HOST_ALLOC_DEFAULT = 0;
const STREAM_NON_BLOCKING = 1;
const HOST_TO_DEVICE = 1;

const LIBRARIES: Readonly<Record<string, string>> = {
  linux: "libcudart.so.13",
  windows: "cudart64_13.dll",
};

/** The runtime of one device. */
export class CudaRuntime {
  readonly #api: CudaFunctions;
  readonly #deviceId: number;

  constructor(api: CudaFunctions, deviceId: number) {
    this.#api = api;
    this.#deviceId = deviceId;
  }

  /**
   * Memory of the process that the device reads by itself; `byteLength` is above 0.
   *
   * @throws {Error} with CUDA's words when there is none.
   */
  pinnedMemory(byteLength: number): Deno.PointerObject {
    this.#use();
    const cell = outCell();
    this.#check(this.#api.cudaHostAlloc(cell, BigInt(byteLength), HOST_ALLOC_DEFAULT));
    return handleIn(cell);
  }

  /** Frees it. */
  free(memory: Deno.PointerObject): void {
    this.#check(this.#api.cudaFreeHost(memory));
  }

  /** A stream that waits for no other one. */
  openStream(): CudaStream {
    this.#use();
    const cell = outCell();
    this.#check(this.#api.cudaStreamCreateWithFlags(cell, STREAM_NON_BLOCKING));
    const stream = handleIn(cell);
    return {
      queue: ({ from, to, byteLength }) => {
        this.#use();
        const count = BigInt(byteLength);
        this.#check(this.#api.cudaMemcpyAsync(to, from, count, HOST_TO_DEVICE, stream));
      },
      settled: async () => this.#check(await this.#api.cudaStreamSynchronize(stream)),
      close: () => this.#check(this.#api.cudaStreamDestroy(stream)),
    };
  }

  /** Each thread has a current device of its own, and ONNX Runtime may have set this one's. */
  #use(): void {
    this.#check(this.#api.cudaSetDevice(this.#deviceId));
  }

  #check(code: number): void {
    if (code === 0) return;
    const text = this.#api.cudaGetErrorString(code);
    const words = text === null ? "no reason given" : Deno.UnsafePointerView.getCString(text);
    throw new Error(`CUDA error ${code}: ${words}`);
  }
}

/** Copies to a device in the order in which they are queued, beside what computes there. */
export interface CudaStream {
  /** Queues a copy; both ends stay as they are until {@linkcode settled} resolves. */
  queue(copy: {
    readonly from: Deno.PointerObject;
    readonly to: Deno.PointerObject;
    readonly byteLength: number;
  }): void;
  /** Resolves when everything that was queued is done. */
  settled(): Promise<void>;
  /** Gives the stream back; nothing is queued. */
  close(): void;
}

let opened: CudaFunctions | null | undefined;

/** The runtime of a device; null where the library cannot be opened. */
export function cudaRuntime(deviceId: number): CudaRuntime | null {
  if (opened === undefined) opened = openLibrary();
  return opened === null ? null : new CudaRuntime(opened, deviceId);
}

/** Never closed: the provider uses it to the process's end. */
function openLibrary(): CudaFunctions | null {
  const name = LIBRARIES[Deno.build.os];
  if (name === undefined) return null;
  try {
    return Deno.dlopen(name, SYMBOLS).symbols;
  } catch {
    return null;
  }
}
