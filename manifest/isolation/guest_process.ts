// The trusted bootstrap of a process: a constant `data:` module, run by `deno run`, that knows nothing of
// the plugin. Messages travel over standard input and output; the secret that marks ours is read before
// the plugin is loaded and never leaves this function.

import { type GuestChannel, type GuestRequest, runGuest } from "./guest_core.ts";
import { closeDoors } from "./guest_doors.ts";
import { watchRealm } from "./guest_watch.ts";

async function processGuest(
  doors: typeof closeDoors,
  watch: typeof watchRealm,
  run: typeof runGuest,
  secretBytes: number,
): Promise<void> {
  const { apply, defineProperty, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
  const { min } = Math;
  const exit = Deno.exit;
  const stringify = JSON.stringify;
  const parse = JSON.parse;
  const Bytes = Uint8Array;
  const View = DataView;
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  const encode = encoder.encode.bind(encoder);
  const decode = decoder.decode.bind(decoder);
  const read = Deno.stdin.read.bind(Deno.stdin);
  const writeSync = Deno.stdout.writeSync.bind(Deno.stdout);
  const Room = ArrayBuffer;
  const { set } = Bytes.prototype;
  const { getUint32, setUint32 } = View.prototype;
  // Getters and species of typed arrays can be replaced by the plugin, which would then be handed the
  // array: lengths are taken with the getter that was there first, and views are made of buffers.
  const getLength = getOwnPropertyDescriptor(
    getPrototypeOf(Bytes.prototype) as object,
    "byteLength",
  )
    ?.get as () => number;
  const lengthOf = (bytes: Uint8Array): number => apply(getLength, bytes, []);

  const fill = async (byteLength: number): Promise<ArrayBuffer> => {
    const room = new Room(byteLength);
    for (let done = 0; done < byteLength;) {
      const count = await read(new Bytes(room, done, min(65536, byteLength - done)));
      if (count === null) exit(0); // the host has gone
      done += count as number;
    }
    return room;
  };
  const writeAll = (room: ArrayBuffer, byteLength: number): void => {
    for (let done = 0; done < byteLength;) {
      done += writeSync(new Bytes(room, done, byteLength - done));
    }
  };
  const secret = new Bytes(await fill(secretBytes));
  const send = (message: Record<string, unknown>, buffers: ArrayBuffer[]): void => {
    const sizes: number[] = [];
    for (let at = 0; at < buffers.length; at++) {
      const value = lengthOf(new Bytes(buffers[at] as ArrayBuffer));
      defineProperty(sizes, at, { value, configurable: true, enumerable: true, writable: true });
    }
    const text = encode(stringify({ message, sizes }));
    const textLength = lengthOf(text);
    const startLength = secretBytes + 4;
    const room = new Room(startLength + textLength);
    apply(set, new Bytes(room), [secret]);
    apply(set, new Bytes(room), [text, startLength]);
    apply(setUint32, new View(room), [secretBytes, textLength, true]);
    writeAll(room, startLength + textLength);
    for (let at = 0; at < buffers.length; at++) {
      writeAll(buffers[at] as ArrayBuffer, sizes[at] as number);
    }
  };
  await doors(false);
  const check = watch((kind, value) => send({ note: kind, value }, []));

  const show = (value: unknown): string => {
    try {
      return typeof value === "string" ? value : Deno.inspect(value, { depth: 2 });
    } catch {
      return "(a value that cannot be shown)";
    }
  };
  const print = (...values: unknown[]): void => {
    let line = "";
    for (let at = 0; at < values.length; at++) line += `${at > 0 ? " " : ""}${show(values[at])}`;
    send({ note: "log", text: line }, []);
  };
  // Standard output carries the messages; what a plugin prints is its log.
  defineProperty(globalThis, "console", {
    value: { log: print, info: print, debug: print, warn: print, error: print, trace: print },
    configurable: true,
    writable: true,
  });
  let receive: (message: GuestRequest, buffers: ArrayBuffer[]) => void = () => {};
  const channel: GuestChannel = {
    returnsLent: false,
    send,
    start(handler) {
      receive = handler;
    },
  };
  run(channel, check);
  send({ ready: true }, []);
  while (true) {
    const headLength = apply(getUint32, new View(await fill(4)), [0, true]);
    const head = parse(decode(await fill(headLength))) as {
      message: GuestRequest;
      sizes: number[];
    };
    const { message, sizes } = head;
    const buffers: ArrayBuffer[] = [];
    for (let at = 0; at < sizes.length; at++) {
      const value = await fill(sizes[at] as number);
      defineProperty(buffers, at, { value, configurable: true, enumerable: true, writable: true });
    }
    receive(message, buffers);
  }
}

/** The bootstrap as a module that `deno run` takes, for a secret of so many bytes. */
export function processBootstrap(secretBytes: number): string {
  return `data:application/javascript,${
    encodeURIComponent(
      `(${processGuest})(${closeDoors}, ${watchRealm}, ${runGuest}, ${secretBytes});`,
    )
  }`;
}
