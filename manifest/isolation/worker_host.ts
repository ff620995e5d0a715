// Hosts a plugin in a worker whose Deno permissions are narrowed to the plugin's rights. Deno denies, here
// only the worker is made and its messages are carried. What a worker cannot stop: an endless loop goes on
// after terminate() until the host process ends, and memory is the host's own. Invariant: nothing that the
// plugin controls is part of the worker's root module.

import { causeText } from "../../errors/cause_text.ts";
import { HooklineError } from "../../errors/hookline_error.ts";
import { readVariable } from "../../host/environment.ts";
import { BufferPool } from "../../tensor/buffer_pool.ts";
import { isolationFault, openGuestLink } from "./guest_link.ts";
import { WORKER_BOOTSTRAP } from "./guest_worker.ts";
import type { HostedModule, HostSpec } from "./host_spec.ts";
import { loadHosted } from "./hosted_module.ts";
import { readablePaths } from "./plugin_root.ts";

/** What the application says about itself. */
export interface WorkerHostOptions {
  /**
   * True when the application runs with `--unstable-worker-options`, or with
   * `"unstable": ["worker-options"]` in its own `deno.json`. Nothing in a process tells whether it does,
   * and without it making such a worker ends the process with exit code 70, which no `catch` can stop.
   */
  readonly unstableWorkerOptions: boolean;
}

/** Free buffers are kept up to this many bytes. */
const POOL_BYTES = 64 * 2 ** 20;
/** Longest time until the bootstrap answers, in milliseconds. */
const START_MS = 30_000;

/**
 * Starts a worker and loads the plugin in it.
 *
 * @throws {HooklineError} WORKER_FLAG_MISSING when the application did not say that the flag is on.
 * @throws {HooklineError} PLUGIN_ISOLATION where a worker cannot enforce permissions, when a folder holds
 * links, or when the worker does not start.
 * @throws {HooklineError} HOOK_PERMISSION_DENIED when this process lacks a right that it is to hand down.
 * @throws {HooklineError} PLUGIN_MODULE when the plugin does not load.
 */
export async function hostInWorker(
  spec: HostSpec,
  { unstableWorkerOptions }: WorkerHostOptions,
): Promise<HostedModule> {
  const { plugin } = spec.rights;
  if (!("Deno" in globalThis)) throw isolationFault(plugin, "cannot be isolated: it needs Deno");
  if (!unstableWorkerOptions) throw flagMissing(plugin);
  refuseBroker(plugin);
  const worker = startWorker(spec, readablePaths(spec));
  const { port1: requests, port2: guestRequests } = new MessageChannel();
  const { port1: replies, port2: guestReplies } = new MessageChannel();
  const { promise: gone, resolve: leave } = Promise.withResolvers<void>();
  const ready = Promise.withResolvers<void>();
  // Buffers come back: memory that is mapped already is four times as fast to fill.
  const pool = new BufferPool(POOL_BYTES);
  const link = openGuestLink(spec, {
    send(message, bytes) {
      const buffers = bytes.map((view) => {
        const buffer = pool.take(view.byteLength);
        new Uint8Array(buffer).set(view);
        return buffer;
      });
      requests.postMessage({ message, buffers }, buffers);
    },
    end() {
      worker.terminate();
      requests.close();
      replies.close();
      leave();
    },
    reuse: (buffer) => pool.give(buffer),
  });
  const fail = (error: Error): void => {
    ready.reject(error);
    link.end(error);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    fail(isolationFault(plugin, `failed in its worker: ${event.message}`));
  };
  worker.onmessageerror = () => link.forged("a message that cannot be read");
  // The plugin holds the worker's own postMessage and nothing else; ours come over the port.
  worker.onmessage = () => link.forged("postMessage to the host");
  replies.onmessageerror = () => link.forged("a message that cannot be read");
  const receive = ({ data }: MessageEvent): void => {
    if (data?.ready === true) ready.resolve();
    else link.receive(data?.message, data?.buffers);
  };
  // Deno calls this for every message; going through its listeners costs a tenth of a call.
  replies.dispatchEvent = (event) => {
    if (event.type === "message") receive(event as MessageEvent);
    else link.forged("a message that cannot be read");
    return true;
  };
  replies.onmessage = receive;
  const timer = setTimeout(
    () => fail(isolationFault(plugin, "has a worker that does not start")),
    START_MS,
  );
  worker.postMessage({ requests: guestRequests, replies: guestReplies }, [
    guestRequests,
    guestReplies,
  ]);
  try {
    await ready.promise;
  } finally {
    clearTimeout(timer);
  }
  return await loadHosted(spec, link, gone);
}

function startWorker({ rights }: HostSpec, read: readonly string[]): Worker {
  const permissions: Deno.PermissionOptionsObject = {
    read: [...read],
    write: false, // the host opens files for the plugin
    net: rights.net.length === 0 ? false : [...rights.net],
    env: rights.env.length === 0 ? false : [...rights.env],
    run: false,
    ffi: false,
    sys: false,
    import: false,
  };
  try {
    const options = { type: "module", name: `plugin ${rights.plugin}`, deno: { permissions } };
    return new Worker(WORKER_BOOTSTRAP, options as WorkerOptions);
  } catch (cause) {
    throw new HooklineError("HOOK_PERMISSION_DENIED", {
      message: `cannot start a worker for plugin "${rights.plugin}": ${causeText(cause)}`,
      fix:
        "run the application with the permissions that it hands down: see `hookline plugin run-flags`",
      details: { plugin: rights.plugin },
      cause,
    });
  }
}

function refuseBroker(plugin: string): void {
  const name = "DENO_PERMISSION_BROKER_PATH";
  if ((readVariable(name) ?? "") === "") return;
  throw new HooklineError("PLUGIN_ISOLATION", {
    message:
      `cannot isolate plugin "${plugin}" in a worker: ${name} is set, so a broker decides alone ` +
      "and may allow what the worker was denied",
    fix: `unset ${name}, or run the plugin at the level "process"`,
    details: { plugin, variable: name },
  });
}

function flagMissing(plugin: string): HooklineError {
  return new HooklineError("WORKER_FLAG_MISSING", {
    message:
      `cannot run plugin "${plugin}" in a worker: the application did not say that it runs with ` +
      "--unstable-worker-options, and without that flag Deno ends the process with exit code 70",
    fix:
      'add "unstable": ["worker-options"] to your deno.json or --unstable-worker-options to the ' +
      'command, then pass { unstableWorkerOptions: true }; or use the level "process"',
    details: { plugin, flag: "--unstable-worker-options" },
  });
}
