// Runs a one-node model on a provider: the only proof that it works. Used by the probes that native code
// has to answer.

import { causeText, firstUsefulLine } from "../session_errors.ts";
import { HooklineError } from "../../errors/hookline_error.ts";
import type { Engine } from "../engine.ts";
import { unaryModel } from "../_tiny_model.ts";
import type { ProbeResult, ProviderName } from "./descriptor.ts";

/** Opens, runs and releases a one-node model; `fix` is what to do when that fails. */
export async function probeSession(
  engine: Engine,
  provider: ProviderName,
  fix: string,
): Promise<ProbeResult> {
  try {
    await using session = await engine.open({
      kind: "bytes",
      bytes: unaryModel([{ name: "y", op: "Neg" }]),
      weightFolder: null,
    }, {
      provider,
      optimization: "disabled",
      threads: 1,
      prepacking: true,
      label: `probe of ${provider}`,
    });
    const x = {
      dtype: "float32" as const,
      shape: [1],
      data: Float32Array.of(-2),
    };
    const { y } = await session.run({ x });
    if (y?.data[0] !== 2) {
      return {
        available: false,
        reason: "a one-node model returned a wrong number",
        fix,
      };
    }
  } catch (error) {
    if (!(error instanceof HooklineError)) throw error;
    // The engine itself is missing: that is another fault than a missing provider.
    if (error.code !== "SESSION_CREATE" && error.code !== "SESSION_RUN") {
      throw error;
    }
    return {
      available: false,
      reason: firstUsefulLine(causeText(error.cause)),
      fix,
    };
  }
  return { available: true, detail: "a one-node model ran on it" };
}
