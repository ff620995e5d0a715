// The watch over a plugin's realm. It runs inside a plugin's worker or process, before the plugin is
// loaded, and reports what is denied there and which intrinsics are changed. It denies nothing: what it
// reports is evidence, and a plugin that keeps it from being seen has gained nothing by that. Invariant:
// the function is self-contained, because only its source text reaches the other realm.

/** Reports something that a plugin tried: a kind and what it was tried on. */
export type GuestReport = (kind: "denied" | "tampered", value: string) => void;

/** Looks for intrinsics that were changed since the watch began, and reports each once. */
export type TamperCheck = () => void;

/**
 * Begins the watch.
 *
 * Sources: `class NotCapable` of Deno calls `super()`, which looks its parent up at run time, so that a
 * parent of ours sees every denial; a refused import gets its `code` by assignment, so that a setter sees
 * it. Verified on Deno 2.9.6.
 */
export function watchRealm(report: GuestReport): TamperCheck {
  const {
    apply,
    defineProperty,
    getOwnPropertyDescriptor,
    getPrototypeOf,
    ownKeys,
    preventExtensions,
  } = Reflect;
  const { is, setPrototypeOf } = Object;
  const text = String;
  const realm = globalThis as unknown as Record<string, unknown>;
  const { NotCapable } = Deno.errors;
  const { startsWith } = String.prototype;

  class ReportedError extends Error {
    constructor(message?: string, options?: ErrorOptions) {
      report("denied", text(message));
      super(message, options);
    }
  }
  setPrototypeOf(NotCapable, ReportedError);
  preventExtensions(NotCapable);
  defineProperty(TypeError.prototype, "code", {
    configurable: false,
    enumerable: false,
    get: () => undefined,
    set(this: object, value: unknown) {
      const message: unknown = getOwnPropertyDescriptor(this, "message")?.value;
      if (typeof message === "string" && apply(startsWith, message, ["Requires "])) {
        report("denied", message);
      }
      defineProperty(this, "code", {
        value,
        configurable: true,
        enumerable: true,
        writable: true,
      });
    },
  });

  const watched: { name: string; target: object; keys: PropertyKey[]; was: unknown[] }[] = [];
  const watch = (name: string, target: unknown): void => {
    if ((typeof target !== "object" && typeof target !== "function") || target === null) return;
    const keys = ownKeys(target);
    const was: unknown[] = [];
    for (let at = 0; at < keys.length; at++) {
      const found = getOwnPropertyDescriptor(target, keys[at] as PropertyKey);
      was[at] = found?.get ?? found?.value;
    }
    watched[watched.length] = { name, target, keys, was };
  };
  for (
    const name of [
      ..."Object Function Array Promise String Number Boolean Symbol BigInt Map Set WeakMap RegExp Date"
        .split(" "),
      ..."Error TypeError RangeError ArrayBuffer SharedArrayBuffer DataView Float32Array Float64Array"
        .split(" "),
      ..."Uint8Array Int8Array Uint16Array Int16Array Uint32Array Int32Array BigInt64Array Event"
        .split(" "),
      ..."BigUint64Array Float16Array MessagePort MessageEvent EventTarget TextEncoder TextDecoder"
        .split(" "),
    ]
  ) {
    const found = realm[name] as { prototype?: unknown } | undefined;
    watch(name, found);
    watch(`${name}.prototype`, found?.prototype);
  }
  for (const name of ["JSON", "Math", "Reflect", "Atomics", "Deno"]) watch(name, realm[name]);
  watch("TypedArray", getPrototypeOf(Float32Array));
  watch("TypedArray.prototype", getPrototypeOf(Float32Array.prototype));
  watch("ArrayIterator.prototype", getPrototypeOf([][Symbol.iterator]()));
  const seen: Record<string, true> = Object.create(null);

  return () => {
    for (let at = 0; at < watched.length; at++) {
      const { name, target, keys, was } = watched[at] as (typeof watched)[number];
      const isLonger = ownKeys(target).length > keys.length;
      for (let key = 0; key < keys.length + (isLonger ? 1 : 0); key++) {
        const label = key < keys.length
          ? `${name}.${text(keys[key])}`
          : `${name} (a property added)`;
        if (key < keys.length) {
          const found = getOwnPropertyDescriptor(target, keys[key] as PropertyKey);
          if (is(found?.get ?? found?.value, was[key])) continue;
        }
        if (seen[label]) continue;
        seen[label] = true;
        report("tampered", label);
      }
    }
  };
}
