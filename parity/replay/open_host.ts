// A model open for parts: engine, provider and threads decided as openModel decides them.

import { type ModelSource, ModelStructure } from "../../pipeline/model_structure.ts";
import { openModel, type OpenOptions } from "../../pipeline/open_model.ts";
import { ValueTypes } from "../../pipeline/value_types.ts";
import { chooseEngine } from "../../sessions/engine_choice.ts";
import { isProviderName } from "../../sessions/provider.ts";
import { openSessions } from "../../sessions/session_ledger.ts";
import { availableCores, threadBudget } from "../../sessions/thread_budget.ts";
import type { PartHost } from "../compare/part_run.ts";

/**
 * Opens a model for parts. No session is opened.
 *
 * @throws {HooklineError} what openModel throws.
 */
export async function openHost(source: ModelSource, options: OpenOptions): Promise<PartHost> {
  // Nothing is run with it: it checks the options and decides on a provider.
  await using model = await openModel(source, options);
  const { engine } = await chooseEngine(options.engine ?? "auto");
  const structure = new ModelStructure(source, options);
  const provider = model.provider.name;
  return {
    structure,
    engine,
    types: new ValueTypes(structure, engine),
    settings: {
      provider: isProviderName(provider) ? provider : "cpu",
      optimization: options.optimization ?? "all",
      threads: options.threads ?? threadBudget(availableCores(), openSessions()),
    },
  };
}
