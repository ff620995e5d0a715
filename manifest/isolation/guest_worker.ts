// The trusted bootstrap of a worker: a constant `data:` module that knows nothing of the plugin. The
// entry arrives by message, so that the plugin's whole module graph is loaded with the worker's own
// permissions: a worker's root is loaded with its creator's. Requests come and replies leave over ports that
// the plugin never holds, so that what it posts itself is told apart. No event is ever dispatched on them: an
// event would show its port to the plugin as its target.

import { type GuestChannel, type GuestRequest, runGuest } from "./guest_core.ts";
import { closeDoors } from "./guest_doors.ts";
import { watchRealm } from "./guest_watch.ts";

async function workerGuest(
  doors: typeof closeDoors,
  watch: typeof watchRealm,
  run: typeof runGuest,
): Promise<void> {
  const scope = globalThis as unknown as {
    addEventListener(type: "message", listen: (event: MessageEvent) => void, once?: object): void;
  };
  const listen = scope.addEventListener.bind(scope, "message");
  const { defineProperty, getOwnPropertyDescriptor, setPrototypeOf } = Reflect;
  const dataOf = (event: MessageEvent): unknown => getOwnPropertyDescriptor(event, "data")?.value;
  const first = new Promise<MessageEvent>((resolve) => listen(resolve, { once: true }));
  const said: Record<string, unknown>[] = [];
  let send = (note: Record<string, unknown>): void => {
    if (said.length < 100) said[said.length] = note;
  };
  await doors(true);
  const check = watch((kind, value) => send({ note: kind, value }));

  const { requests, replies } = dataOf(await first) as {
    readonly requests: MessagePort;
    readonly replies: MessagePort;
  };
  const post: (message: unknown, transfer: ArrayBuffer[]) => void = replies.postMessage.bind(
    replies,
  );
  send = (note) => post({ message: note, buffers: [] }, []);
  for (let at = 0; at < said.length; at++) send(said[at] as Record<string, unknown>);

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
    send({ note: "log", text: line });
  };
  // The standard streams are closed here; what a plugin prints is its log.
  defineProperty(scope, "console", {
    value: { log: print, info: print, debug: print, warn: print, error: print, trace: print },
    configurable: true,
    writable: true,
  });
  const channel: GuestChannel = {
    returnsLent: true,
    send: (message, buffers) => post({ message, buffers }, buffers),
    start(receive) {
      const value = (event: MessageEvent): boolean => {
        const { message, buffers } = dataOf(event) as {
          message: GuestRequest;
          buffers: ArrayBuffer[];
        };
        receive(message, buffers);
        return true;
      };
      // Deno hands every message to this method: taken over, no listener and no plugin sees the event.
      defineProperty(requests, "dispatchEvent", { value });
      requests.start();
      setPrototypeOf(requests, null);
    },
  };
  run(channel, check);
  post({ ready: true }, []);
}

/** The bootstrap as a module that `new Worker` takes. */
export const WORKER_BOOTSTRAP: string = `data:application/javascript,${
  encodeURIComponent(`(${workerGuest})(${closeDoors}, ${watchRealm}, ${runGuest});`)
}`;
