// `hookline explain MODEL`: the plan that a call would use, without running it. It opens no session.

import {
  Command,
  type CommandUnknownOpts,
  Option,
  type OptionValues,
} from "@commander-js/extra-typings";
import type { GraphModule } from "../graph/graph_module.ts";
import type { PlanOptions } from "../pipeline/plan_maker.ts";
import { openModel, type OpenOptions } from "../pipeline/open_model.ts";
import type { PlanDocument } from "../pipeline/planner.ts";
import type { Invocation } from "./_invocation.ts";
import { addModelOptions, collect, readModelOptions } from "./_model_options.ts";
import {
  addPluginOptions,
  attachCalled,
  type PluginDocument,
  pluginsText,
} from "./_plugin_options.ts";

/** What `hookline explain --json` prints. */
export interface ExplainDocument extends PlanDocument {
  /** The engine that would run it. */
  readonly engine: string;
  /** The execution provider that would run it. */
  readonly provider: string;
  /** Modules that a pattern named and that no plan can tap or cut at, with the reason. */
  readonly skipped: readonly {
    /** Its path. */
    readonly module: string;
    /** Why it was left out. */
    readonly reason: string;
  }[];
  /** The plugins that were named, with where each of their rights comes from. */
  readonly plugins: readonly PluginDocument[];
}

/** The command. */
export function explainCommand(invocation: Invocation): CommandUnknownOpts {
  const command = new Command("explain")
    .description("Shows the plan that a call would use, with the reason for every tap and cut.")
    .argument("<model>", "the .onnx file")
    .addOption(
      new Option("--tap <pattern>", "modules whose outputs are to be seen; repeatable")
        .argParser(collect),
    )
    .addOption(
      new Option("--split <pattern>", "modules after which to cut; repeatable").argParser(collect),
    );
  addPluginOptions(addModelOptions(command));
  return command.action(async (path, { tap, split }) => {
    const found = await explained(path, {
      open: readModelOptions(command.opts()),
      values: command.opts(),
      invocation,
      plan: {
        ...(tap === undefined ? {} : { tap }),
        ...(split === undefined ? {} : { split }),
      },
    });
    invocation.report({ document: found.document, text: () => found.text });
  });
}

async function explained(
  path: string,
  { open, plan, values, invocation }: {
    readonly open: OpenOptions;
    readonly plan: PlanOptions;
    readonly values: OptionValues;
    readonly invocation: Invocation;
  },
): Promise<{ document: ExplainDocument; text: string }> {
  await using model = await openModel(path, open);
  await using plugins = await attachCalled(model, values, invocation);
  const selected = [plan.tap, plan.split].flatMap((patterns) =>
    patterns === undefined ? [] : model.select(patterns)
  );
  const skipped = [...new Set(selected)].filter(isOutOfReach).map((module) => ({
    module: module.path,
    reason: module.reason ?? "it cannot be tapped",
  }));
  const lines = skipped.map(({ module, reason }) => `left out ${module}: ${reason}`);
  return {
    document: {
      ...model.explainDocument(plan),
      engine: model.engine,
      provider: model.provider.name,
      skipped,
      plugins: plugins.documents,
    },
    text: [model.explain(plan), ...lines, ...pluginsText(plugins.documents)].join("\n"),
  };
}

/** Those that Model.plan passes over. */
function isOutOfReach(module: GraphModule): boolean {
  return module.insideBody !== null || module.calls.length === 0;
}
