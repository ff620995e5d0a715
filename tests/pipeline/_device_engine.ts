// The real engine on the CPU, behind a pretended device: values that stay are handed out as such, and every
// read of one is counted. What it computes is right or wrong as on the CPU; what is tested is who holds,
// reads and releases values.

import assert from "node:assert/strict";
import { DeviceTensor, type RunValue, type RunValueMap } from "../../sessions/device_tensor.ts";
import type {
  DeviceRun,
  Engine,
  EngineSession,
  SessionSettings,
  SessionSource,
} from "../../sessions/engine.ts";
import { NapiEngine } from "../../sessions/napi_engine.ts";
import { copyTensor, emptyTensorMap, type Tensor, type TensorMap } from "../../tensor/tensor.ts";

/** What a run was given and left. */
export interface DeviceRunNote {
  readonly fedFromDevice: readonly string[];
  readonly fedFromHost: readonly string[];
  readonly kept: readonly string[];
}

/** An engine whose sessions have a device. */
export class DeviceEngine implements Engine {
  readonly name = "native";
  readonly runs: DeviceRunNote[] = [];
  /** How many values were read, and released. */
  readsCount = 0;
  freesCount = 0;
  /** The most values that were on the device at one moment. */
  mostLive = 0;
  /** Called before each run on the device; may throw. */
  onRun: (note: DeviceRunNote) => void = () => {};
  readonly #engine = new NapiEngine();
  readonly #live = new Map<DeviceTensor, Tensor>();

  version(): Promise<string> {
    return this.#engine.version();
  }

  async open(source: SessionSource, settings: SessionSettings): Promise<EngineSession> {
    const session = await this.#engine.open(source, settings);
    return Object.assign(Object.create(session) as EngineSession, {
      inputs: session.inputs,
      outputs: session.outputs,
      run: session.run.bind(session),
      release: session.release.bind(session),
      runOnDevice: this.#runOnDevice(session),
    });
  }

  #runOnDevice(session: EngineSession): DeviceRun {
    return async (feeds, fetches, { keep, signal }) => {
      const names = Object.keys(feeds);
      const note = {
        fedFromDevice: names.filter((name) => feeds[name] instanceof DeviceTensor),
        fedFromHost: names.filter((name) => !(feeds[name] instanceof DeviceTensor)),
        kept: keep,
      };
      this.runs.push(note);
      this.onRun(note);
      const outputs = await session.run(this.#onHost(feeds), fetches, { signal });
      const left: Record<string, RunValue> = emptyTensorMap();
      for (const name of fetches) {
        const tensor = outputs[name] as Tensor;
        left[name] = keep.includes(name) ? this.#keep(tensor) : tensor;
      }
      return left;
    };
  }

  #onHost(feeds: RunValueMap): TensorMap {
    const tensors = emptyTensorMap();
    for (const [name, value] of Object.entries(feeds)) {
      if (!(value instanceof DeviceTensor)) tensors[name] = value;
      else tensors[name] = this.#live.get(value) ?? assert.fail(`"${name}" was released`);
    }
    return tensors;
  }

  #keep(tensor: Tensor): DeviceTensor {
    const value = new DeviceTensor({
      provider: "webgpu",
      dtype: tensor.dtype,
      shape: tensor.shape,
      byteLength: 1,
      read: () => {
        this.readsCount++;
        return Promise.resolve(copyTensor(tensor));
      },
      free: () => {
        this.freesCount++;
        this.#live.delete(value);
      },
    });
    this.#live.set(value, tensor);
    this.mostLive = Math.max(this.mostLive, this.#live.size);
    return value;
  }
}
