// Decides which execution provider a model runs on, and says why. `auto` takes CUDA where a probe proves
// that it runs, and the CPU elsewhere; a provider asked for by name is taken or refused, never replaced.

import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { Engine } from "./engine.ts";
import { cpuProvider } from "./providers/cpu.ts";
import { cudaProvider } from "./providers/cuda.ts";
import type { ProviderDescriptor, ProviderName } from "./providers/descriptor.ts";
import { webgpuProvider } from "./providers/webgpu.ts";

const DESCRIPTORS: Readonly<Record<ProviderName, ProviderDescriptor>> = {
  cpu: cpuProvider,
  cuda: cudaProvider,
  webgpu: webgpuProvider,
};

/** The providers that can be named, in the order in which they are listed to users. */
export const PROVIDER_NAMES: readonly ProviderName[] = ["cpu", "cuda", "webgpu"];

/** What {@linkcode resolveProvider} decided. */
export interface ResolvedProvider {
  /** The provider to open sessions on. */
  readonly provider: ProviderDescriptor;
  /** Why this one, in words that `explain` prints. */
  readonly because: string;
}

/** True for the name of a provider that Hookline knows. */
export function isProviderName(name: unknown): name is ProviderName {
  return typeof name === "string" && Object.hasOwn(DESCRIPTORS, name);
}

/** The descriptor of a provider. */
export function providerDescriptor(name: ProviderName): ProviderDescriptor {
  return DESCRIPTORS[name];
}

/**
 * Decides on a provider. `cpu` is taken without any probe; `auto` never takes `webgpu`, whose numbers
 * and speed depend on the driver.
 *
 * @param asked `"auto"` or a provider's name.
 * @param engine The engine that will open the sessions.
 * @throws {HooklineError} PROVIDER_UNKNOWN for a name that does not exist, with the nearest ones;
 * PROVIDER_UNAVAILABLE for one that cannot run here, with the reason.
 *
 * @example
 * ```ts ignore
 * const { provider, because } = await resolveProvider("auto", engine);
 * console.log(provider.name, because);
 * ```
 */
export async function resolveProvider(
  asked: string,
  engine: Engine,
): Promise<ResolvedProvider> {
  if (asked === "auto") {
    const found = await cudaProvider.probe(engine, { byName: false });
    return found.available
      ? {
        provider: cudaProvider,
        because: `auto chose cuda: ${found.detail}`,
      }
      : {
        provider: cpuProvider,
        because: `auto chose cpu, because cuda cannot be used: ${found.reason}`,
      };
  }
  if (!isProviderName(asked)) {
    const known = ["auto", ...PROVIDER_NAMES];
    const nearest = nearestNames(String(asked), known);
    throw new HooklineError("PROVIDER_UNKNOWN", {
      message: `cannot use provider "${String(asked)}": no provider has this name`,
      fix: nearest.length > 0
        ? `did you mean ${nearest.map((name) => `"${name}"`).join(" or ")}?`
        : `use one of ${known.join(", ")}`,
      details: { provider: String(asked), nearest },
    });
  }
  const provider = DESCRIPTORS[asked];
  const found = await provider.probe(engine, { byName: true });
  if (!found.available) {
    throw new HooklineError("PROVIDER_UNAVAILABLE", {
      message: `cannot use provider "${asked}": ${found.reason}`,
      fix: found.fix,
      details: { provider: asked },
    });
  }
  return { provider, because: `${asked} was asked for: ${found.detail}` };
}
