// A plugin behind a link, as the loader of plugins sees it: makes hooks whose methods ask the guest. It
// knows no transport. Invariant: a hook has exactly the methods that its code implements, so that they are
// compared with the declared ones, and planned for, as those of a plugin in this process are.

import { HooklineError } from "../../errors/hookline_error.ts";
import { readVariable } from "../../host/environment.ts";
import type { ModuleFacts } from "../../hooks/model_hook.ts";
import type { TensorMap } from "../../tensor/tensor.ts";
import process from "node:process";
import type { PluginCall, PluginHook, PluginPhase } from "../plugin_module.ts";
import { type GuestLink, isolationFault, type LinkRequest } from "./guest_link.ts";
import { DEFAULT_CALL_MS, type HostedModule, type HostSpec } from "./host_spec.ts";
import { encodeTensors } from "./tensor_wire.ts";

/** Longest time for loading, making one hook, and closing, in milliseconds. */
const SETUP_MS = 60_000;
const CLOSE_MS = 5_000;
const PHASES: readonly string[] = [
  "preForward",
  "newForward",
  "postForward",
  "onUnwind",
  "resetState",
];

/**
 * Loads the plugin through a link. `gone` resolves when its realm has ended.
 *
 * @throws {HooklineError} PLUGIN_MODULE when its main module does not load or exports no plugin.
 */
export async function loadHosted(
  spec: HostSpec,
  link: GuestLink,
  gone: Promise<void>,
): Promise<HostedModule> {
  const { rights: { plugin, fsWrite, env }, mainUrl, options } = spec;
  try {
    await link.request({
      message: {
        op: "load",
        entry: mainUrl,
        env: grantedVariables(env),
        options,
        canWrite: fsWrite.length > 0,
      },
      module: null,
      limitMs: SETUP_MS,
    });
  } catch (cause) {
    link.end(isolationFault(plugin, "did not load"));
    await gone;
    throw cause instanceof HooklineError ? cause : moduleFault(plugin, "does not load", cause);
  }
  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    let failure: unknown = null;
    if (link.ended === null) {
      try {
        await link.request({ message: { op: "close" }, module: null, limitMs: CLOSE_MS });
      } catch (error) {
        failure = error instanceof HooklineError
          ? error
          : moduleFault(plugin, "threw in close()", error);
      }
      link.end(isolationFault(plugin, "was closed"));
    }
    await gone;
    if (failure !== null) throw failure;
  };
  const hosted: HostedModule = {
    createHook: (module) => createHook(spec, link, module),
    get ended() {
      return link.ended;
    },
    close: () => closing ??= close(),
    kill: () => link.end(isolationFault(plugin, "was ended by the host")),
    [Symbol.asyncDispose]: () => hosted.close(),
  };
  return hosted;
}

/** The granted variables that are set: names, and those that begin like `PREFIX_*`. */
export function grantedVariables(granted: readonly string[]): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of granted) {
    const names = name.endsWith("*")
      ? Object.keys(process.env).filter((one) => one.startsWith(name.slice(0, -1)))
      : [name];
    for (const one of names) {
      const value = readVariable(one);
      if (value !== undefined) found[one] = value;
    }
  }
  return found;
}

async function createHook(
  spec: HostSpec,
  link: GuestLink,
  module: ModuleFacts,
): Promise<PluginHook | null> {
  const { plugin } = spec.rights;
  const { path, className, callCount } = module;
  const facts = { path, className, callCount };
  let fields: Readonly<Record<string, unknown>>;
  try {
    ({ fields } = await link.request({
      message: { op: "create", module: facts },
      module: path,
      limitMs: SETUP_MS,
    }));
  } catch (cause) {
    if (cause instanceof HooklineError) throw cause;
    throw moduleFault(plugin, `made no hook for "${path}"`, cause);
  }
  if (fields.phases === null) return null;
  if (!Array.isArray(fields.phases) || fields.phases.some((one) => !PHASES.includes(one))) {
    throw moduleFault(plugin, `made no hook for "${path}"`, new TypeError("a forged reply"));
  }
  const made = fields.phases as readonly PluginPhase[];
  const hook = Number(fields.id);
  const methods = remoteMethods(spec, link, hook);
  return Object.freeze(Object.fromEntries(made.map((one) => [one, methods[one]])));
}

function remoteMethods(spec: HostSpec, link: GuestLink, hook: number): Required<PluginHook> {
  const { writeActivations, replaceForward } = spec.rights;
  const lent = !writeActivations && !replaceForward;
  const limitMs = spec.budgets.msPerCall ?? DEFAULT_CALL_MS;
  const call = async (
    phase: PluginPhase,
    given: PluginCall,
    { first, second, error, ...rest }: {
      readonly first?: TensorMap;
      readonly second?: TensorMap | null;
      readonly error?: { readonly name: string; readonly message: string };
    } & Pick<LinkRequest, "resultNames" | "original" | "inputNames">,
  ): Promise<TensorMap | undefined> => {
    const one = first === undefined ? null : encodeTensors(first);
    const two = second === undefined || second === null
      ? null
      : encodeTensors(second, one?.bytes.length);
    const { signal, module: { path, className, callCount }, ...plain } = given;
    const entries = [...one?.entries ?? [], ...two?.entries ?? []];
    const { tensors } = await link.request({
      message: {
        op: "call",
        hook,
        phase,
        call: { ...plain, module: { path, className, callCount } },
        lent,
        first: one?.entries ?? null,
        second: two?.entries ?? null,
        ...(error === undefined ? {} : { error }),
      },
      bytes: [...one?.bytes ?? [], ...two?.bytes ?? []],
      ...(lent ? { lent: entries } : {}),
      module: path,
      limitMs,
      signal,
      ...rest,
    });
    return tensors ?? undefined;
  };
  return {
    preForward: (given, inputs) =>
      call("preForward", given, { first: inputs, resultNames: given.inputNames }),
    newForward: async (given, inputs, original) => {
      const outputs = await call("newForward", given, {
        first: inputs,
        resultNames: given.outputNames,
        original,
        inputNames: given.inputNames,
      });
      // Null is refused by the check of every result, as it is for a hook in this process.
      return (outputs ?? null) as TensorMap;
    },
    postForward: (given, outputs, inputs) =>
      call("postForward", given, {
        first: outputs,
        second: inputs,
        resultNames: given.outputNames,
      }),
    onUnwind: async (given, error) => {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      // The realm's own end is what is being unwound from: there is nobody to tell.
      if (link.ended !== null) return;
      const unwound = { ...given, signal: undefined };
      await call("onUnwind", unwound, { error: { name: String(name), message: String(message) } });
    },
    resetState: async (module) => {
      const { path, className, callCount } = module;
      const facts = { path, className, callCount };
      await link.request({
        message: {
          op: "call",
          hook,
          phase: "resetState",
          call: { module: facts },
          first: null,
          second: null,
        },
        module: path,
        limitMs,
      });
    },
  };
}

function moduleFault(plugin: string, why: string, cause: unknown): HooklineError {
  const [told] = (cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause))
    .split("\n", 1);
  return new HooklineError("PLUGIN_MODULE", {
    message: `plugin "${plugin}" ${why}: ${told}`,
    fix:
      "mend its main module; at this level it may import types from Hookline, files below its own " +
      "folder, and nothing else",
    details: { plugin },
    cause,
  });
}
