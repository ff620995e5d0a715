// Closes ways out of a plugin's realm that ask for no permission of Deno's. Measured on Deno 2.9.6, a
// worker with permissions "none" can end the host with a signal, change V8's flags, read the host's standard
// input, write to its output, ask the registry for packages by name, speak to other workers, reach the GPU's
// driver, and start a realm that nobody watches; one that may read a folder can make it the working directory
// of the host, whose relative paths then lead there; and all processes of plugins share one storage on disk. It runs before the plugin is loaded and knows nothing of messages. Invariant:
// the function is self-contained, because only its source text reaches the other realm.

/**
 * Closes them. `closesStreams` is false where standard streams carry the messages themselves. What is
 * closed throws `NotCapable` with `Requires realm access to …`, or `Requires import access to …`.
 *
 * @throws {Error} when this Deno lacks what it needs: nothing is run half closed.
 */
export async function closeDoors(closesStreams: boolean): Promise<void> {
  const { defineProperty, getPrototypeOf, preventExtensions, apply } = Reflect;
  const { setPrototypeOf, create } = Object;
  const { test } = RegExp.prototype;
  const text = String;
  // deno-lint-ignore no-explicit-any -- globals by name
  const realm = globalThis as any;
  const { NotCapable } = Deno.errors;
  const refusal = (what: string) => (): never => {
    throw new NotCapable(`Requires realm access to "${what}"`);
  };
  const refuseMethods = (target: object, owner: string, names: readonly string[]): void => {
    for (const name of names) {
      if (name in target) {
        defineProperty(target, name, {
          value: refusal(`${owner}.${name}`),
          configurable: false,
          writable: false,
        });
      }
    }
  };
  const refuseProperty = (target: object, owner: string, name: string): void => {
    defineProperty(target, name, { get: refusal(`${owner}.${name}`), configurable: false });
  };
  // Constructors call super(), which looks the parent up at run time: one door for every export of a class.
  const refuseClass = (target: unknown, name: string): void => {
    if (typeof target !== "function") return;
    const refuse = refusal(name);
    setPrototypeOf(target, function refused(): void {
      refuse();
    });
    preventExtensions(target);
  };

  const { Worker, BroadcastChannel } = await import("node:worker_threads");
  const { closeSync } = await import("node:fs");
  const { Module, registerHooks } = await import("node:module") as unknown as {
    // deno-lint-ignore no-explicit-any -- undocumented members
    Module: any;
    registerHooks?: (hooks: object) => unknown;
  };
  if (typeof registerHooks !== "function") throw new Error("this Deno has no module.registerHooks");

  refuseClass(realm.Worker, "Worker");
  refuseClass(Worker, "node:worker_threads Worker");
  refuseClass(realm.BroadcastChannel, "BroadcastChannel");
  refuseClass(BroadcastChannel, "node:worker_threads BroadcastChannel");
  if (typeof CacheStorage === "function") {
    refuseMethods(CacheStorage.prototype, "CacheStorage", ["open", "has", "delete"]);
  }
  refuseMethods(realm.LockManager.prototype, "LockManager", ["request", "query"]);
  refuseProperty(getPrototypeOf(realm.navigator) as object, "navigator", "gpu");
  for (const name of ["localStorage", "sessionStorage"]) refuseProperty(realm, "self", name);
  refuseMethods(Deno, "Deno", ["kill", "exit", "addSignalListener", "chdir"]);
  refuseMethods(realm.process, "process", [
    ..."kill _kill chdir abort exit reallyExit binding _linkedBinding getBuiltinModule _eval"
      .split(" "),
    ..."_rawDebug send disconnect openStdin setUncaughtExceptionCaptureCallback".split(" "),
  ]);
  refuseMethods(Module, "Module", [
    ..."_load _resolveFilename createRequire registerHooks register runMain".split(" "),
  ]);
  refuseMethods(Module.prototype, "Module", ["require", "_compile", "load"]);
  delete (Deno as unknown as Record<symbol, unknown>)[
    (Deno as unknown as { internal: symbol }).internal
  ];

  if (closesStreams) {
    refuseMethods(realm, "self", ["close"]);
    // In a worker these are handles of its own: the host's streams stay open.
    for (const descriptor of [0, 1, 2]) {
      try {
        closeSync(descriptor);
      } catch {
        // closed already
      }
    }
    for (const stream of [Deno.stdin, Deno.stdout, Deno.stderr]) {
      try {
        stream.close();
      } catch {
        // closed with its descriptor
      }
    }
  }

  // Modules of Node that only compute, or whose every effect asks for a permission of Deno's.
  const allowed: Record<string, true> = create(null);
  for (
    const name of [
      ..."assert assert/strict async_hooks buffer constants crypto diagnostics_channel dns".split(
        " ",
      ),
      ..."dns/promises events fs fs/promises http https net os path path/posix path/win32".split(
        " ",
      ),
      ..."perf_hooks punycode querystring stream stream/consumers stream/promises".split(" "),
      ..."stream/web string_decoder timers timers/promises tls url util util/types zlib".split(" "),
    ]
  ) {
    allowed[name] = true;
    allowed[`node:${name}`] = true;
  }
  const own = /^(\.{0,2}\/|file:|data:|blob:)/;
  registerHooks({
    resolve(
      specifier: unknown,
      context: unknown,
      next: (specifier: string, context: unknown) => unknown,
    ) {
      const name = text(specifier);
      if (allowed[name] !== true && !apply(test, own, [name])) {
        throw new NotCapable(`Requires import access to "${name}"`);
      }
      return next(name, context);
    },
  });
}
