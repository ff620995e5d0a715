// `hookline verify MODEL`: whether hooks would see what the plain model computes. The comparison itself
// is pipeline/verify.ts; here are its options and its words.

import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { type VerifyDocument, verifyModel, type VerifyPart } from "../pipeline/verify.ts";
import type { Style } from "./_console.ts";
import { addInputOptions, chosenInputs, readInputChoice } from "./_input_options.ts";
import type { Invocation } from "./_invocation.ts";
import { addModelOptions, numberOf, readModelOptions } from "./_model_options.ts";
import { millisecondsText, plural } from "./_units.ts";

/** The command. */
export function verifyCommand(invocation: Invocation): CommandUnknownOpts {
  const command = new Command("verify")
    .description(
      "Runs a model whole, with every module tapped, and cut into segments, on the same inputs, and " +
        "compares the outputs bit by bit. Inputs that no file gives are made up (--random 0).",
    )
    .argument("<model>", "the .onnx file")
    .option("--split <where>", "where to cut: leaves, blocks, all, or a module pattern", "leaves")
    .addOption(
      new Option("--rounds <count>", "timed runs of each plan").default(5).argParser(numberOf),
    )
    .addOption(
      new Option("--atol <number>", "absolute tolerance of float outputs").argParser(numberOf),
    )
    .addOption(
      new Option("--rtol <number>", "relative tolerance of float outputs").argParser(numberOf),
    );
  addModelOptions(addInputOptions(command));
  return command.action(async (path, { split, rounds, atol, rtol }) => {
    const values = command.opts();
    const choice = readInputChoice(values);
    const inputs = choice.inputs === undefined ? { random: 0, ...choice } : choice;
    const document = await verifyModel(path, {
      ...readModelOptions(values),
      feeds: (declared) => chosenInputs(inputs, declared),
      split,
      rounds,
      ...(atol === undefined ? {} : { atol }),
      ...(rtol === undefined ? {} : { rtol }),
      onProgress: (what) => invocation.progress(what),
    });
    invocation.report({
      document,
      text: (style) => verifyText(document, style),
      status: document.status === "differs" ? 1 : 0,
    });
  });
}

function verifyText(document: VerifyDocument, style: Style): string {
  const { status, tapped, split, repeatable, wholeMs, engine, provider, optimization } = document;
  const color = status === "differs" ? style.red : status === "exact" ? style.green : style.yellow;
  const tapsText = tapped.taps === 0 ? "nothing to tap" : plural(tapped.taps, "tap");
  const splitText = split.segments === 1
    ? "nothing to cut"
    : `${plural(split.segments, "segment")}, cut after ${plural(split.modules, "module")}`;
  return [
    style.bold(color(status)),
    `  whole   ${
      millisecondsText(wholeMs)
    } on ${provider} (${engine}), optimization ${optimization}`,
    `  tapped  ${partText(tapped, tapsText)}`,
    ...skippedLines(tapped, "value", "tapped"),
    `  split   ${partText(split, splitText)}`,
    ...skippedLines(split, "module", "cut"),
    ...(repeatable ? [] : ["  the whole model does not give the same bits twice on these inputs"]),
  ].join("\n");
}

function partText(part: VerifyPart, what: string): string {
  const { status, bitsDiffering, maxAbs, ratio } = part;
  const found = status === "exact"
    ? "no bit differs"
    : `${plural(bitsDiffering, "bit")} differ, by ${maxAbs} at most (${status})`;
  return `${what}: ${found}, ${ratio.toFixed(2)} x the time`;
}

function skippedLines(part: VerifyPart, noun: string, done: string): string[] {
  return Object.entries(part.skippedBecause).map(([reason, count]) =>
    `          ${plural(count, noun)} not ${done}: ${reason}`
  );
}
