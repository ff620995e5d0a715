// The runs of one model that have begun and not ended, each with the plan and the hooks that it works
// on. Invariant: what a run holds (hooks, sessions) it holds from its first moment to its end, however it
// ends.

import { HooklineError } from "../errors/hookline_error.ts";
import { runningHookOf } from "../hooks/call_stack.ts";
import type { HookLease } from "../hooks/hook_handle.ts";
import type { HookRegistry } from "../hooks/hook_registry.ts";
import type { EngineSession } from "../sessions/engine.ts";
import type { CompiledPlan } from "./compiled_plan.ts";

/** A run in flight: its plan and the hooks that it works on. */
export interface HeldRun {
  readonly compiled: CompiledPlan;
  readonly leases: ReadonlyMap<string, HookLease>;
  /** Opens the plan's sessions until the run ends; resolves as `CompiledPlan.hold` does. */
  open(): Promise<EngineSession | null>;
  /** Ends the run: lets go of its hooks and its sessions. */
  end(): Promise<void>;
}

/** The runs of one model. */
export class RunsInFlight {
  readonly #label: string;
  readonly #runs = new Set<HeldRun>();
  #whenIdle: (() => void) | null = null;

  /** `label` names the model in errors. */
  constructor(label: string) {
    this.#label = label;
  }

  /**
   * Begins a run on a plan and the hooks of the modules that it names, as they stand now.
   *
   * @throws {HooklineError} HOOK_REENTRANT from inside one of these hooks.
   */
  begin(compiled: CompiledPlan, registries: ReadonlyMap<string, HookRegistry>): HeldRun {
    const leases = new Map<string, HookLease>();
    const letGo = (): void => leases.forEach((lease) => lease.release());
    try {
      for (const path of Object.keys(compiled.plan.order)) {
        const lease = registries.get(path)?.acquire();
        if (lease === undefined) continue;
        leases.set(path, lease);
        this.#refuseInside(lease, "run");
      }
    } catch (error) {
      letGo();
      throw error;
    }
    let isOpen = false;
    const run: HeldRun = {
      compiled,
      leases,
      open: async () => {
        const session = await compiled.hold();
        isOpen = true;
        return session;
      },
      end: async () => {
        letGo();
        try {
          if (isOpen) await compiled.release();
        } finally {
          this.#runs.delete(run);
          if (this.#runs.size === 0) this.#whenIdle?.();
        }
      },
    };
    this.#runs.add(run);
    return run;
  }

  /**
   * Refuses to close the model from inside one of its own hooks.
   *
   * @throws {HooklineError} HOOK_REENTRANT.
   */
  refuseClosingInside(): void {
    for (const { leases } of this.#runs) {
      for (const lease of leases.values()) this.#refuseInside(lease, "close");
    }
  }

  /** Resolves when no run is in flight; no run may begin after this was asked. */
  async idle(): Promise<void> {
    if (this.#runs.size > 0) await new Promise<void>((resolve) => this.#whenIdle = resolve);
  }

  /** A hook that waited for its own run, by starting another one or by closing, might wait for ever. */
  #refuseInside(lease: HookLease, action: "run" | "close"): void {
    const hook = runningHookOf(lease.order);
    if (hook === undefined) return;
    throw new HooklineError("HOOK_REENTRANT", {
      message: `cannot ${action} "${this.#label}" from inside its own hook "${hook.name}"`,
      fix: action === "run"
        ? "run another model from the hook, or in a replacing hook call original() instead"
        : "close the model when the run has ended",
      details: { hook: hook.name, plugin: hook.plugin, module: lease.order.module },
    });
  }
}
