// `hookline sensitivity MODEL`: which module's precision costs most at the outputs. The measurement itself
// is parity/sensitivity/module_sensitivity.ts.

import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { moduleSensitivity, type Sensitivity } from "../parity/sensitivity/module_sensitivity.ts";
import type { Style } from "./_console.ts";
import { addInputOptions, chosenInputs, readInputChoice } from "./_input_options.ts";
import type { Invocation } from "./_invocation.ts";
import { addModelOptions, collect, numberOf, readModelOptions } from "./_model_options.ts";
import { plural } from "./_units.ts";

/** How many rows people are shown. */
const ROWS_SHOWN = 20;

/** The command. */
export function sensitivityCommand(invocation: Invocation): CommandUnknownOpts {
  const command = new Command("sensitivity")
    .description(
      "Replaces one module at a time by a coarser one (rounded to half precision, its weights in 255 " +
        "steps, or another file's module) and ranks the modules by what that does to the outputs. " +
        "Inputs that no file gives are made up (--random 0).",
    )
    .argument("<model>", "the .onnx file")
    .addOption(
      new Option("--substitute <kind>", "what a module is replaced by")
        .choices(["float16", "bfloat16", "int8"] as const).default("float16" as const),
    )
    .option("--other <file>", "replace by the modules of this .onnx file instead")
    .addOption(
      new Option("--map <old=new>", "the model's prefix and the other file's; repeatable")
        .argParser(collect),
    )
    .option("--modules <pattern>", "which modules; those without modules inside by default")
    .addOption(new Option("--rtol <number>", "relative tolerance of floats").argParser(numberOf))
    .addOption(new Option("--atol <number>", "absolute tolerance of floats").argParser(numberOf));
  addModelOptions(addInputOptions(command));
  return command.action(async (path, { substitute, other, map, modules, rtol, atol }) => {
    const values = command.opts();
    const choice = readInputChoice(values);
    const inputs = choice.inputs === undefined ? { random: 0, ...choice } : choice;
    const { idleByteBudget: _, ...settings } = readModelOptions(values);
    const found = await moduleSensitivity(path, {
      ...settings,
      feeds: (declared) => chosenInputs(inputs, declared),
      ...(other === undefined ? { substitute } : { substitute: "other", other }),
      ...(map === undefined ? {} : { map }),
      ...(modules === undefined ? {} : { modules }),
      rtol,
      atol,
      onProgress: (what) => invocation.progress(what),
    });
    invocation.report({ document: found, text: (style) => sensitivityText(found, style) });
  });
}

function sensitivityText({ substitute, modules, skipped }: Sensitivity, style: Style): string {
  const rows = modules.slice(0, ROWS_SHOWN).map(({ module, outputs: [worst] }) => [
    module === "" ? "(the model)" : module,
    worst?.output ?? "",
    worst === undefined ? "" : numberText(worst.error.maxAbs),
    worst === undefined || !Number.isFinite(worst.error.sqnrDb)
      ? ""
      : `${worst.error.sqnrDb.toFixed(1)} dB`,
    worst === undefined ? "" : numberText(worst.error.ratio),
  ]);
  const head = ["module", "worst output", "max abs", "SQNR", "x tolerated"];
  const widths = head.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => (row[at] ?? "").length))
  );
  const lineOf = (row: readonly string[]): string =>
    `  ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ")}`.trimEnd();
  const more = modules.length - ROWS_SHOWN;
  return [
    style.bold(`${plural(modules.length, "module")} replaced one at a time (${substitute})`),
    style.dim(lineOf(head)),
    ...rows.map(lineOf),
    ...(more > 0 ? [`  and ${plural(more, "further module")}; --json lists all`] : []),
    ...skippedLines(skipped),
  ].join("\n");
}

function skippedLines(skipped: Sensitivity["skipped"]): string[] {
  const byReason = Map.groupBy(skipped, ({ because }) => because);
  return [...byReason].map(([because, modules]) =>
    `  not replaced: ${plural(modules.length, "module")}, ${because}`
  );
}

function numberText(value: number): string {
  return String(Number(value.toPrecision(3)));
}
