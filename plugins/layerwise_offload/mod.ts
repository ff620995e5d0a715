/**
 * Layerwise offload: a model runs in less memory than its weights take. The repeated blocks of a model
 * bring their weights near for each call and let go of them behind it; the rest stays.
 *
 * @module
 */

import {
  HooklineError,
  type Model,
  ModelHook,
  type Plugin,
  type ResidencyPlacement,
  type ResidencyRequest,
} from "../../mod.ts";
import { type LayerwiseOffloadOptions, offloadSettings } from "./offload_options.ts";
import { residentIndices } from "./resident_blocks.ts";

export type { LayerwiseOffloadOptions, ResidentBlocks } from "./offload_options.ts";

const NAME = "layerwise-offload";

/** Asks for residency and sees no tensor. */
class OffloadHook extends ModelHook {
  override readonly name = NAME;
  override readonly access = "residency";

  constructor(override readonly residency: ResidencyRequest) {
    super();
  }
}

/**
 * Makes the plugin. Attached to a model, it streams the weights of the largest run of equal blocks, or of
 * the modules that `blocks` names; a model without repeated blocks is streamed as a whole. `model.explain()`
 * says beforehand how, what memory it is expected to take, and whether numbers may change. Detaching it
 * leaves the model as it was.
 *
 * @throws {HooklineError} OPTION_INVALID for a bad option; when attached, HOOK_MATCH_EMPTY for a selector
 * that matches nothing, HOOK_NAME_DUPLICATE when it is attached already, MODULE_NOT_CUTTABLE. A plan
 * fails with RESIDENCY_BUDGET or RESIDENCY_IMPOSSIBLE.
 *
 * @example
 * ```ts
 * import { openModel } from "@hookline/hookline";
 * import { layerwiseOffload } from "@hookline/hookline/plugins/layerwise-offload";
 * await using model = await openModel("bert.onnx", { provider: "cpu" });
 * using _offload = layerwiseOffload({ depth: 2 }).attach(model, { modelName: "bert" }) as Disposable;
 * console.log(model.explain());
 * ```
 */
export function layerwiseOffload(options: LayerwiseOffloadOptions = {}): Plugin {
  const settings = offloadSettings(options);
  return {
    name: NAME,
    attach(model: Model): Disposable {
      const paths = blocksOf(model, options);
      const resident = residentIndices(settings.resident, paths.length);
      using stack = new DisposableStack();
      for (const [index, path] of paths.entries()) {
        const placement: ResidencyPlacement = resident.has(index)
          ? "resident"
          : settings.resident === null && settings.byteBudget !== null
          ? "auto"
          : "streamed";
        const hook = new OffloadHook({
          placement,
          ahead: settings.depth,
          strategy: settings.strategy,
          byteBudget: settings.byteBudget,
          hostByteBudget: settings.hostByteBudget,
          cacheFolder: settings.cacheFolder,
          dimensions: settings.dimensions,
        });
        stack.use(model.registry(path).register(hook, { plugin: NAME }));
      }
      return stack.move();
    },
  };
}

/** What is streamed: the modules that were asked for, the repeated blocks, or the whole model. */
function blocksOf(model: Model, { blocks }: LayerwiseOffloadOptions): readonly string[] {
  if (blocks === undefined) {
    return model.repeatedBlocks.length > 0 ? model.repeatedBlocks : [""];
  }
  const paths = model.select(blocks).filter(({ calls }) => calls.length > 0)
    .map(({ path }) => path);
  if (paths.length > 0) return paths;
  throw new HooklineError("HOOK_MATCH_EMPTY", {
    message: `cannot offload "${model.label}": the modules that blocks names are never called`,
    fix: "name what they hold, or leave blocks out",
    details: { model: model.label },
  });
}
