// Decides which engine runs a model, and says why. `auto` takes the native engine where Deno lets it work
// and the napi engine elsewhere; an engine asked for by name is taken or refused, never replaced.

import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import { runtimeVersion } from "../host/versions.ts";
import type { Engine } from "./engine.ts";
import { NapiEngine } from "./napi_engine.ts";
import type { NativeRefusal } from "./native/native_availability.ts";

/** What can be asked for by name. */
export type EngineName = "auto" | "napi" | "native";

/** What {@linkcode chooseEngine} decided. */
export interface ChosenEngine {
  /** The engine to open sessions with. */
  readonly engine: Engine;
  /** Why this one, in words that `explain` prints. */
  readonly because: string;
}

/** The names that can be asked for, in the order in which they are listed to users. */
export const ENGINE_NAMES: readonly EngineName[] = ["auto", "napi", "native"];

let napi: Engine | undefined;
let native: Engine | undefined;

/**
 * Decides on an engine. One engine of each kind serves the whole process.
 *
 * @param asked A name, or an engine of one's own, which is taken as it is.
 * @throws {HooklineError} ENGINE_UNKNOWN for a name that does not exist or an object that is no engine;
 * ENGINE_UNAVAILABLE when the native engine was asked for by name and cannot work here.
 *
 * @example
 * ```ts ignore
 * const { engine, because } = await chooseEngine("auto");
 * console.log(engine.name, because);
 * ```
 */
export async function chooseEngine(asked: EngineName | Engine): Promise<ChosenEngine> {
  if (typeof asked === "object" && asked !== null) {
    return { engine: requireEngine(asked), because: "it was given" };
  }
  if (!(ENGINE_NAMES as readonly unknown[]).includes(asked)) throw unknownName(String(asked));
  if (asked === "napi") return { engine: napiEngine(), because: "napi was asked for" };
  const refusal = await refusalOfNative(asked === "native");
  if (refusal === null) {
    const because = asked === "auto" ? "auto chose native" : "native was asked for";
    return { engine: await nativeEngine(), because: `${because}: it leaves the event loop free` };
  }
  if (asked === "native") throw unavailable(refusal);
  const because = `auto chose napi, because native cannot be used: ${refusal.reason}`;
  return { engine: napiEngine(), because };
}

function napiEngine(): Engine {
  return napi ??= new NapiEngine();
}

/** Loaded here and nowhere else: its code speaks to Deno. */
async function nativeEngine(): Promise<Engine> {
  if (native === undefined) {
    const { NativeEngine } = await import("./native/native_engine.ts");
    native ??= new NativeEngine();
  }
  return native;
}

async function refusalOfNative(byName: boolean): Promise<NativeRefusal | null> {
  if (!runtimeVersion().startsWith("deno ")) {
    return { reason: "it needs Deno", fix: 'run with deno, or use engine "napi"' };
  }
  const { nativeRefusal } = await import("./native/native_availability.ts");
  return nativeRefusal({ byName });
}

function unavailable({ reason, fix }: NativeRefusal): HooklineError {
  return new HooklineError("ENGINE_UNAVAILABLE", {
    message: `cannot use engine "native": ${reason}`,
    fix,
    details: { engine: "native" },
  });
}

function requireEngine(asked: object): Engine {
  const { open, version }: Partial<Engine> = asked;
  if (typeof open === "function" && typeof version === "function") return asked as Engine;
  throw new HooklineError("ENGINE_UNKNOWN", {
    message: "cannot use this object as an engine: it lacks open() or version()",
    fix: `give an object with the methods of Engine, or use one of ${ENGINE_NAMES.join(", ")}`,
    details: { engine: null, nearest: [] },
  });
}

function unknownName(asked: string): HooklineError {
  const nearest = nearestNames(asked, ENGINE_NAMES);
  return new HooklineError("ENGINE_UNKNOWN", {
    message: `cannot use engine "${asked}": no engine has this name`,
    fix: nearest.length > 0
      ? `did you mean ${nearest.map((name) => `"${name}"`).join(" or ")}?`
      : `use one of ${ENGINE_NAMES.join(", ")}`,
    details: { engine: asked, nearest },
  });
}
