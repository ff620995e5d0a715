// What runs a plugin inside its worker or process: it loads the main module, makes hooks, calls their
// methods and sends back what they return. It knows neither how messages travel nor what the plugin may
// do. Whatever it sends may be forged by the plugin, which shares the realm: the host checks all of it.
// Invariant: the function is self-contained, because only its source text reaches the other realm, and
// it uses what it captured before the plugin was loaded.

import type { PluginHook, PluginHost, PluginModule, PluginPhase } from "../plugin_module.ts";
import type { TamperCheck } from "./guest_watch.ts";
import type { WireTensor } from "./tensor_wire.ts";

/** How messages leave and reach a guest: plain data, and buffers that are handed over with it. */
export interface GuestChannel {
  /** Sends a message; the buffers are given away. */
  readonly send: (message: Record<string, unknown>, buffers: ArrayBuffer[]) => void;
  /** Sets what gets every message. */
  readonly start: (receive: (message: GuestRequest, buffers: ArrayBuffer[]) => void) => void;
  /** Whether the buffers of lent tensors go back to the host, which then looks for changes itself. */
  readonly returnsLent: boolean;
}

/** What the host asks of a guest. */
export interface GuestRequest {
  /** The operation. */
  readonly op: "load" | "create" | "call" | "answer" | "close";
  /** Names the request in replies; for `answer`, the original call that is answered. */
  readonly id: number;
  // deno-lint-ignore no-explicit-any -- the fields of each operation; only the host writes them
  readonly [field: string]: any;
}

/** Runs the plugin that the host names. */
export function runGuest(channel: GuestChannel, check: TamperCheck): void {
  const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, apply } = Reflect;
  const { create, keys: namesOf, freeze } = Object;
  const { isArray } = Array;
  const { test } = RegExp.prototype;
  const leavesFolder = /(^|\/)(\.{0,2})(\/|$)|[\\:\0]/;
  const text = String;
  const NativePromise = Promise;
  const typedArray = getPrototypeOf(Float32Array.prototype) as object;
  const getterOf = (target: object, key: PropertyKey) => {
    const get = getOwnPropertyDescriptor(target, key)?.get as () => unknown;
    return (self: object): unknown => apply(get, self, []);
  };
  const kindOf = getterOf(typedArray, Symbol.toStringTag);
  const bufferOf = getterOf(typedArray, "buffer");
  const isDetached = getterOf(ArrayBuffer.prototype, "detached");
  const transfer = ArrayBuffer.prototype.transfer;
  const slice = ArrayBuffer.prototype.slice;
  // deno-lint-ignore no-explicit-any -- constructors of every typed array, by name
  const kinds: Record<string, any> = create(null);
  for (
    const name of ["Float32Array", "Float64Array", "Float16Array", "Uint8Array", "Int8Array"]
      .concat(["Uint16Array", "Int16Array", "Uint32Array", "Int32Array"])
      .concat(["BigInt64Array", "BigUint64Array"])
  ) kinds[name] = (globalThis as unknown as Record<string, unknown>)[name];

  let plugin: PluginModule | null = null;
  let host: PluginHost | null = null;
  const hooks: Record<number, PluginHook> = create(null);
  const originals: Record<number, { resolve(map: unknown): void; reject(error: unknown): void }> =
    create(null);
  const firstCalls: Record<string, true> = create(null);
  let lastOriginal = 0;
  let lastSink = 0;

  const decode = (entries: readonly WireTensor[], buffers: ArrayBuffer[]) => {
    const map = create(null);
    for (let at = 0; at < entries.length; at++) {
      const { name, dtype, shape, kind, buffer, strings } = entries[at] as WireTensor;
      const data = strings ?? new kinds[kind as string](buffers[buffer as number]);
      defineProperty(map, name, {
        value: { dtype, shape, data },
        configurable: true,
        enumerable: true,
        writable: true,
      });
    }
    return map;
  };
  const encode = (map: unknown, what: string) => {
    if (typeof map !== "object" || map === null) {
      throw new TypeError(`${what} is no map of tensors`);
    }
    const names = namesOf(map);
    const entries: WireTensor[] = [];
    const buffers: ArrayBuffer[] = [];
    for (let at = 0; at < names.length; at++) {
      const name = names[at] as string;
      // deno-lint-ignore no-explicit-any -- whatever the plugin returned
      const { dtype, shape, data } = (map as any)[name] ?? {};
      if (!isArray(shape)) throw new TypeError(`${what}: "${name}" is no tensor`);
      const sizes: number[] = [];
      for (let axis = 0; axis < shape.length; axis++) sizes[axis] = +shape[axis];
      const kind = kindOf(data ?? 0) as string | undefined;
      if (kind !== undefined && kinds[kind] !== undefined) {
        // A copy: the plugin may keep, and return again, what it returned now.
        const copy = new kinds[kind](data);
        buffers[buffers.length] = bufferOf(copy) as ArrayBuffer;
        entries[at] = {
          name,
          dtype: text(dtype) as WireTensor["dtype"],
          shape: sizes,
          kind,
          buffer: buffers.length - 1,
        };
      } else if (isArray(data)) {
        const strings: string[] = [];
        for (let one = 0; one < data.length; one++) strings[one] = text(data[one]);
        entries[at] = { name, dtype: "string", shape: sizes, strings };
      } else throw new TypeError(`${what}: "${name}" has no array of numbers or strings`);
    }
    return { entries, buffers };
  };
  const describe = (error: unknown) => {
    try {
      // deno-lint-ignore no-explicit-any -- anything can be thrown
      const { name, message } = error as any;
      return { name: text(name ?? "Error"), message: text(message ?? error) };
    } catch {
      return { name: "Error", message: "the plugin threw a value that cannot be read" };
    }
  };

  const makeHost = (request: GuestRequest): PluginHost =>
    freeze({
      env: freeze(request.env),
      options: request.options,
      log: (message: string) => channel.send({ note: "log", text: text(message) }, []),
      openSink: (name: string) => {
        const sink = ++lastSink;
        const label = text(name);
        // The host decides; what it would refuse is refused here too, so that it is thrown right here.
        const why = !request.canWrite
          ? "fs-write is not granted"
          : apply(test, leavesFolder, [label])
          ? "the name does not stay below the granted folder"
          : null;
        const refused = why !== null;
        channel.send({ note: "sink", op: "open", sink, name: label, refused }, []);
        if (why !== null) {
          const error = new Error(`cannot open "${label}": ${why}`);
          defineProperty(error, "code", { value: "HOOK_PERMISSION_DENIED" });
          throw error;
        }
        let isOpen = true;
        return freeze({
          write(chunk: string | Uint8Array) {
            if (!isOpen) throw new TypeError(`cannot write to "${label}": it is closed`);
            if (typeof chunk === "string") {
              channel.send({ note: "sink", op: "write", sink, text: chunk }, []);
            } else {
              const copy = new kinds["Uint8Array"](chunk);
              channel.send({ note: "sink", op: "write", sink }, [bufferOf(copy) as ArrayBuffer]);
            }
          },
          close() {
            if (isOpen) channel.send({ note: "sink", op: "close", sink }, []);
            isOpen = false;
          },
        });
      },
    });

  const load = async (request: GuestRequest) => {
    const module = await import(request.entry);
    check();
    const found = module.default;
    if (typeof found !== "object" || found === null || typeof found.createHook !== "function") {
      throw new TypeError("its default export has no createHook method");
    }
    plugin = found;
    host = makeHost(request);
    return {};
  };
  const createHook = async ({ id, module }: GuestRequest) => {
    if (plugin === null || host === null) throw new TypeError("no plugin is loaded");
    const hook = await plugin.createHook(module, host);
    check();
    if (hook === null || hook === undefined) return { phases: null };
    if (typeof hook !== "object" || isArray(hook)) {
      throw new TypeError("createHook returned no hook");
    }
    hooks[id] = hook;
    const phases: string[] = [];
    const all = ["preForward", "newForward", "postForward", "onUnwind", "resetState"];
    for (let at = 0; at < all.length; at++) {
      const phase = all[at] as PluginPhase;
      if (typeof hook[phase] === "function") phases[phases.length] = phase;
    }
    return { phases };
  };
  const original = (call: number, given: unknown): Promise<never> => {
    const seq = ++lastOriginal;
    return new NativePromise((resolve, reject) => {
      defineProperty(originals, seq, { value: { resolve, reject }, configurable: true });
      const { entries, buffers } = given === undefined || given === null
        ? { entries: null, buffers: [] }
        : encode(given, "what original() got");
      channel.send({ original: seq, call, tensors: entries }, buffers);
    });
  };
  const runPhase = (request: GuestRequest, buffers: ArrayBuffer[]): unknown => {
    const hook = hooks[request.hook];
    if (hook === undefined) throw new TypeError("no such hook");
    const first = request.first === null ? null : decode(request.first, buffers);
    const second = request.second === null ? null : decode(request.second, buffers);
    switch (request.phase as PluginPhase) {
      case "preForward":
        return hook.preForward?.(request.call, first);
      case "newForward":
        return hook.newForward?.(request.call, first, (given) => original(request.id, given));
      case "postForward":
        return hook.postForward?.(request.call, first, second);
      case "onUnwind":
        return hook.onUnwind?.(request.call, request.error);
      case "resetState":
        return hook.resetState?.(request.call.module);
    }
  };
  const reply = (id: number, buffers: ArrayBuffer[], fields: Record<string, unknown>) =>
    channel.send({ id, ...fields }, buffers);

  const callHook = async (request: GuestRequest, buffers: ArrayBuffer[]) => {
    const isWatched = request.lent && !channel.returnsLent;
    const before: ArrayBuffer[] = [];
    for (let at = 0; isWatched && at < buffers.length; at++) {
      before[at] = apply(slice, buffers[at], [0]);
    }
    let outcome: Record<string, unknown>;
    let sent: ArrayBuffer[] = [];
    try {
      const given = runPhase(request, buffers);
      // Most calls of observers return nothing: they are answered in the turn that they came in.
      const result = given === undefined ? given : await given;
      if (result === undefined || result === null) outcome = { ok: true, tensors: null };
      else {
        const encoded = encode(result, `what ${request.phase} returned`);
        sent = encoded.buffers;
        outcome = { ok: true, tensors: encoded.entries };
      }
    } catch (error) {
      outcome = { error: describe(error) };
    }
    const label = `${request.hook} ${request.phase}`;
    if (!firstCalls[label]) {
      firstCalls[label] = true;
      check();
    }
    if (request.lent) {
      const lent: number[] = [];
      for (let at = 0; at < buffers.length; at++) {
        const buffer = buffers[at] as ArrayBuffer;
        if (isDetached(buffer)) continue;
        if (channel.returnsLent) {
          sent[sent.length] = buffer;
          lent[lent.length] = at;
        } else if (differs(buffer, before[at] as ArrayBuffer)) lent[lent.length] = at;
        if (!channel.returnsLent) apply(transfer, buffer, [0]); // lent tensors end with the call
      }
      outcome[channel.returnsLent ? "returned" : "written"] = lent;
    }
    reply(request.id, sent, outcome);
  };
  const differs = (left: ArrayBuffer, right: ArrayBuffer): boolean => {
    const one = new kinds["Uint8Array"](left);
    const two = new kinds["Uint8Array"](right);
    for (let at = 0; at < two.length; at++) if (one[at] !== two[at]) return true;
    return false;
  };
  const answer = (request: GuestRequest, buffers: ArrayBuffer[]) => {
    const waiting = originals[request.id];
    delete originals[request.id];
    if (request.error === undefined) waiting?.resolve(decode(request.tensors, buffers));
    else {
      const error = new Error(request.error.message);
      defineProperty(error, "name", { value: request.error.name });
      waiting?.reject(error);
    }
  };
  const handle = async (request: GuestRequest, buffers: ArrayBuffer[]) => {
    if (request.op === "answer") return answer(request, buffers);
    if (request.op === "call") return await callHook(request, buffers);
    try {
      let fields: Record<string, unknown> = {};
      if (request.op === "load") fields = await load(request);
      else if (request.op === "create") fields = await createHook(request);
      else {
        await plugin?.close?.();
        check();
      }
      reply(request.id, [], { ok: true, ...fields });
    } catch (error) {
      check();
      reply(request.id, [], { error: describe(error) });
    }
  };
  channel.start((message, buffers) => void handle(message, buffers));
}
