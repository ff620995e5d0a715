// A model open for parts: engine, provider and threads decided as openModel decides them.

import { type ModelSource, ModelStructure } from "../../pipeline/model_structure.ts";
import { openModel, type OpenOptions } from "../../pipeline/open_model.ts";
import { ValueTypes } from "../../pipeline/value_types.ts";
import { chooseEngine } from "../../sessions/engine_choice.ts";
import { isProviderName } from "../../sessions/provider.ts";
import { openSessions } from "../../sessions/session_ledger.ts";
import { availableCores, threadBudget } from "../../sessions/thread_budget.ts";
import { HooklineError } from "../../errors/hookline_error.ts";
import type { ValueSpec } from "../../sessions/engine.ts";
import type { TensorMap } from "../../tensor/tensor.ts";
import type { PartHost } from "./part_run.ts";

/** A model's inputs by name, or what makes them from the inputs that the model declares. */
export type FeedsOption =
  | TensorMap
  | ((inputs: readonly ValueSpec[]) => TensorMap | Promise<TensorMap>);

/**
 * The inputs that an option gives.
 *
 * @throws {HooklineError} OPTION_INVALID for what is no map of tensors.
 */
export async function givenFeeds(
  feeds: FeedsOption,
  inputs: readonly ValueSpec[],
): Promise<TensorMap> {
  const given: unknown = typeof feeds === "function" ? await feeds(inputs) : feeds;
  if (typeof given === "object" && given !== null) return given as TensorMap;
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot feed a model with ${String(given)}: wanted tensors by the names of its inputs`,
    fix: "give the option feeds a map such as { input_ids: { dtype, shape, data } }",
    details: { option: "feeds" },
  });
}

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
