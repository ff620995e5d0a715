// One concept a file, named after it, small enough to read in one go. Knows names and line counts.

import { layerOf, repoPath } from "./location.ts";

/** Names that say nothing about what a file holds. */
const EMPTY_NAMES = /^_?(index|utils?|helpers?|common|types?|misc|shared)(_test)?$/;
const SNAKE_CASE = /^_?[a-z0-9]+(_[a-z0-9]+)*$/;
const LEADING_DIGIT = /^_?[0-9]/;

/** The most lines a file may have. */
export const MAX_LINES = 400;
/** The most lines a test file may have. */
export const MAX_TEST_LINES = 500;

/** Files have snake_case names that say what they hold. */
export const fileName: Deno.lint.Rule = {
  create(context) {
    const from = repoPath(context.filename);
    const stem = (from.split("/").at(-1) ?? "").replace(/(\.d)?\.[cm]?[jt]sx?$/, "");
    const report = (node: Deno.lint.Node, message: string, hint: string) =>
      context.report({ node, message: `file-name: ${message}`, hint });
    return {
      Program(node) {
        if (EMPTY_NAMES.test(stem)) {
          report(node, `${from} has a name that says nothing`, "Name it after what it holds");
        } else if (
          !SNAKE_CASE.test(stem) || (LEADING_DIGIT.test(stem) && layerOf(from) !== "examples")
        ) {
          report(node, `${from} is not in snake_case`, "Use lower case, digits and _ only");
        }
      },
    };
  },
};

/** Files stay short: 400 lines, tests 500. */
export const fileLength: Deno.lint.Rule = {
  create(context) {
    const from = repoPath(context.filename);
    const limit = layerOf(from) === "tests" ? MAX_TEST_LINES : MAX_LINES;
    return {
      Program(node) {
        const lines = context.sourceCode.text.replace(/\n$/, "").split("\n").length;
        if (lines <= limit) return;
        context.report({
          node,
          message: `file-length: ${from} has ${lines} lines, the limit is ${limit}`,
          hint: "Split it by concept into files of 80 to 250 lines",
        });
      },
    };
  },
};
