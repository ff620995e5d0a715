// The host's end of the line to a guest: numbers requests, matches replies, keeps the time budget, and
// checks every message as hostile. It knows no worker and no process. Invariants: a reply settles at most
// one pending request; after the link has ended nothing is pending and nothing is believed; time in which
// the guest waits for another call, or for the host's own original(), does not count against its budget.

import { AsyncLocalStorage } from "node:async_hooks";
import { Buffer } from "node:buffer";
import { causeText } from "../../errors/cause_text.ts";
import { HooklineError } from "../../errors/hookline_error.ts";
import type { TensorMap } from "../../tensor/tensor.ts";
import { guestClock } from "./guest_clock.ts";
import { takeNotes } from "./guest_notes.ts";
import type { HostSpec } from "./host_spec.ts";
import { decodeTensors, encodeTensors, WireFault, type WireTensor } from "./tensor_wire.ts";

/** What carries messages to one guest. */
export interface Transport {
  /** Sends a message and copies of the bytes. */
  send(message: Readonly<Record<string, unknown>>, bytes: readonly Uint8Array<ArrayBuffer>[]): void;
  /** Ends the realm at once. */
  end(): void;
  /** Takes back a buffer that carried lent bytes; absent where buffers do not come back. */
  readonly reuse?: (buffer: ArrayBuffer) => void;
}

/** One request to a guest. */
export interface LinkRequest {
  /** The operation and its fields. */
  readonly message: Readonly<Record<string, unknown>>;
  /** The tensors' bytes. */
  readonly bytes?: readonly Uint8Array<ArrayBuffer>[];
  /** The tensors whose bytes these are, when they are lent for the call. */
  readonly lent?: readonly WireTensor[];
  /** Names of the tensors that the reply may hold. */
  readonly resultNames?: readonly string[];
  /** The module, for the audit log. */
  readonly module: string | null;
  /** How long it may take. */
  readonly limitMs: number;
  /** The caller's signal. */
  readonly signal?: AbortSignal | undefined;
  /** Runs the original forward. */
  readonly original?: (inputs: TensorMap | undefined) => Promise<TensorMap>;
  /** Names of the tensors that the guest may give to the original. */
  readonly inputNames?: readonly string[];
}

/** A checked reply. */
export interface LinkReply {
  /** The tensors that the plugin returned, or null for none. */
  readonly tensors: TensorMap | null;
  /** Other fields: hostile still. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The line to a guest. */
export interface GuestLink {
  /** Asks for something; rejects with what the plugin threw, or with why the link ended. */
  request(request: LinkRequest): Promise<LinkReply>;
  /** Takes a message of the guest. */
  receive(message: unknown, buffers: unknown): void;
  /** Notes a message that came another way than the guest's own: a forgery. */
  forged(what: string): void;
  /** Ends the link: every pending and later request rejects with the error. */
  end(error: Error): void;
  /** Why it ended, or null. */
  readonly ended: Error | null;
}

interface Pending {
  readonly request: LinkRequest;
  /** Runs work in the caller's own context; null where there is no work of the caller's. */
  readonly run: (<T>(work: () => T) => T) | null;
  readonly settle: (outcome: { reply: LinkReply } | { error: unknown }) => void;
  leftMs: number;
  isPaused: boolean;
}

const TEXT_LIMIT = 4096;

/** Makes the host's end of a line. */
export function openGuestLink(spec: HostSpec, transport: Transport): GuestLink {
  const { plugin } = spec.rights;
  const pending = new Map<number, Pending>();
  const abandoned = new Set<number>();
  let ended: Error | null = null;
  let lastId = 0;
  let fault: unknown = null;

  const clock = guestClock<Pending>(({ request }) => {
    notes.deny("budget", `msPerCall ${request.limitMs}`);
    end(overTime(plugin, request));
  });
  const notes = takeNotes(spec, {
    module: () => clock.running?.request.module ?? null,
    onFlood: () => end(isolationFault(plugin, "tried more than can be written down")),
  });

  /** Lets the clock run for the oldest request that the guest can be working on. */
  const schedule = (): void => {
    for (const one of pending.values()) {
      if (!one.isPaused) return clock.run(one);
    }
    clock.run(null);
  };

  const end = (error: Error): void => {
    if (ended !== null) return;
    ended = error;
    const waiting = [...pending.values()];
    pending.clear();
    clock.stop();
    for (const one of waiting) one.settle({ error });
    notes[Symbol.dispose]();
    transport.end();
  };

  const forged = (what: string): void => {
    if (ended === null) notes.deny("message", what);
  };

  const request = (asked: LinkRequest): Promise<LinkReply> => {
    if (ended !== null) return Promise.reject(ended);
    if (asked.signal?.aborted) return Promise.reject(asked.signal.reason);
    const id = ++lastId;
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        if (!pending.delete(id)) return;
        abandoned.add(id);
        schedule();
        reject(asked.signal?.reason);
      };
      asked.signal?.addEventListener("abort", abort, { once: true });
      pending.set(id, {
        request: asked,
        run: asked.original === undefined ? null : AsyncLocalStorage.snapshot(),
        leftMs: asked.limitMs,
        isPaused: false,
        settle(outcome) {
          asked.signal?.removeEventListener("abort", abort);
          if ("reply" in outcome) resolve(outcome.reply);
          else reject(outcome.error);
        },
      });
      try {
        transport.send({ id, ...asked.message }, asked.bytes ?? []);
      } catch (cause) {
        end(isolationFault(plugin, `cannot be reached: ${causeText(cause)}`, cause));
      }
      schedule();
    });
  };

  const answerOriginal = (message: Readonly<Record<string, unknown>>, buffers: unknown): void => {
    const one = typeof message.call === "number" ? pending.get(message.call) : undefined;
    const { original, inputNames = [] } = one?.request ?? {};
    const id = message.original;
    if (one?.run == null || original === undefined || typeof id !== "number") {
      forged("a call of original() outside of newForward");
      // Told, so that a plugin that made a mistake does not wait for its time to run out.
      const error = { name: "TypeError", message: "original() was called outside of newForward" };
      if (ended === null) transport.send({ op: "answer", id, error }, []);
      return;
    }
    const answer = (fields: object, bytes: readonly Uint8Array<ArrayBuffer>[] = []): void => {
      one.isPaused = false;
      schedule();
      if (ended === null) transport.send({ op: "answer", id, ...fields }, bytes);
    };
    const refuse = (error: unknown): void => answer({ error: describe(error) });
    let given: TensorMap | undefined;
    try {
      given = message.tensors === null
        ? undefined
        : decodeTensors(message.tensors, buffers, inputNames);
    } catch (error) {
      forged(`what it gave to original(): ${causeText(error)}`);
      return refuse(error);
    }
    one.isPaused = true;
    schedule();
    one.run(() => original(given)).then((outputs) => {
      const { entries, bytes } = encodeTensors(outputs);
      answer({ tensors: entries }, bytes);
    }).catch(refuse);
  };

  const lookAtLent = (
    { bytes = [], lent = [], module }: LinkRequest,
    fields: Readonly<Record<string, unknown>>,
    buffers: readonly unknown[],
  ): void => {
    const written = new Set<number>();
    if (Array.isArray(fields.written)) { for (const at of fields.written) written.add(at); }
    const returned = Array.isArray(fields.returned) ? fields.returned as readonly unknown[] : [];
    const first = buffers.length - returned.length;
    returned.forEach((at, place) => {
      const buffer = buffers[first + place];
      const sent = typeof at === "number" ? bytes[at] : undefined;
      if (sent === undefined || !(buffer instanceof ArrayBuffer) || buffer.resizable) return;
      if (buffer.byteLength !== sent.byteLength) return;
      if (Buffer.compare(new Uint8Array(buffer), sent) !== 0) written.add(at as number);
      transport.reuse?.(buffer);
    });
    for (const at of written) {
      const value = lent.find(({ buffer }) => buffer === at)?.name ?? null;
      spec.audit({ plugin, permission: "write-activations", value, module, decision: "deny" });
    }
  };

  const settle = (id: number, fields: Readonly<Record<string, unknown>>, buffers: unknown[]) => {
    const one = pending.get(id) as Pending;
    const { request: asked } = one;
    let outcome: Parameters<Pending["settle"]>[0];
    try {
      if (one.isPaused) throw new WireFault("it returned while original() was running");
      if (asked.lent !== undefined) lookAtLent(asked, fields, buffers);
      if (fault !== null) throw fault;
      if (fields.error !== undefined) throw remoteError(fields.error);
      const tensors = fields.tensors === undefined || fields.tensors === null
        ? null
        : decodeTensors(fields.tensors, buffers, asked.resultNames ?? []);
      outcome = { reply: { tensors, fields } };
    } catch (error) {
      if (error instanceof WireFault) forged(`reply ${id}: ${error.message}`);
      outcome = { error: error instanceof WireFault ? invalidReply(plugin, asked, error) : error };
    }
    fault = null;
    pending.delete(id);
    schedule();
    one.settle(outcome);
  };

  const receive = (message: unknown, given: unknown): void => {
    if (ended !== null) return;
    if (typeof message !== "object" || message === null) return forged("no object");
    const fields = message as Readonly<Record<string, unknown>>;
    const buffers: unknown[] = Array.isArray(given) ? given : [];
    if (fields.note !== undefined) {
      try {
        if (!notes.take(fields, buffers)) forged("a note of an unknown kind");
      } catch (error) {
        fault ??= error;
      }
      return;
    }
    if (fields.original !== undefined) return answerOriginal(fields, buffers);
    const { id } = fields;
    if (typeof id === "number" && pending.has(id)) return settle(id, fields, buffers);
    if (typeof id === "number" && abandoned.delete(id)) return;
    forged(`a reply to ${typeof id === "number" ? `request ${id}, which is not open` : "nothing"}`);
  };

  return {
    request,
    receive,
    forged,
    end,
    get ended() {
      return ended;
    },
  };
}

function describe(error: unknown): { name: string; message: string } {
  const name = error instanceof Error ? String(error.name) : "Error";
  return { name, message: causeText(error) };
}

/** What the plugin threw, as an error of ours with its name and message. */
function remoteError(told: unknown): Error {
  const { name, message } = (told ?? {}) as { readonly name?: unknown; readonly message?: unknown };
  const error = new Error(String(message ?? "").slice(0, TEXT_LIMIT));
  error.name = String(name ?? "Error").slice(0, 100);
  return error;
}

/** PLUGIN_ISOLATION for a plugin whose realm has ended or cannot begin. */
export function isolationFault(plugin: string, why: string, cause?: unknown): HooklineError {
  return new HooklineError("PLUGIN_ISOLATION", {
    message: `plugin "${plugin}" ${why}`,
    fix: "read its audit log and its own log; load the plugin anew to run it again",
    details: { plugin },
    cause,
  });
}

function invalidReply(plugin: string, { message, module }: LinkRequest, cause: WireFault): Error {
  return new HooklineError("HOOK_RESULT", {
    message: `cannot use what plugin "${plugin}" returned from ${String(message.phase)} of ` +
      `"${module}": ${cause.message}`,
    fix: "return a plain map of the module's tensors, each with dtype, shape and data that fit",
    details: { plugin, module, phase: String(message.phase) },
    cause,
  });
}

function overTime(plugin: string, { message, module, limitMs }: LinkRequest): HooklineError {
  const what = String(message.phase ?? message.op);
  return new HooklineError("HOOK_BUDGET", {
    message: `plugin "${plugin}" took longer than ${limitMs} ms in ${what}` +
      `${module === null ? "" : ` of "${module}"`}; its realm was ended`,
    fix:
      "raise budgets.msPerCall in plugin.json if it is slow; a plugin in an endless loop must run " +
      'at the level "process", since a worker that loops cannot be ended before the host ends',
    details: { plugin, budget: "msPerCall", limit: limitMs, phase: what, module },
  });
}
