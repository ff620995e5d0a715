// The Markdown and shell-block readers.

import assert from "node:assert/strict";
import { findCodeBlocks, shellSteps } from "./code_blocks.ts";

const PAGE = `
# Title

\`\`\`ts
const a = 1;
\`\`\`

<!-- output -->

\`\`\`text
1
\`\`\`

<!-- not run: needs a GPU -->
\`\`\`console
$ nvidia-smi
\`\`\`

1. A list:
   ~~~sh
   deno task test
   ~~~

\`\`\`\`md
\`\`\`ts
nested
\`\`\`
\`\`\`\`
`;

Deno.test("findCodeBlocks() reads fences, languages, indents, exemptions and outputs", () => {
  assert.deepEqual(findCodeBlocks(PAGE), [
    { line: 4, language: "ts", code: "const a = 1;", isOutput: false },
    { line: 10, language: "text", code: "1", isOutput: true },
    {
      line: 15,
      language: "console",
      code: "$ nvidia-smi",
      isOutput: false,
      notRun: "needs a GPU",
    },
    { line: 20, language: "sh", code: "deno task test", isOutput: false },
    { line: 24, language: "md", code: "```ts\nnested\n```", isOutput: false },
  ]);
});

Deno.test("findCodeBlocks() takes a comment only right before its block", () => {
  const [block] = findCodeBlocks("<!-- not run: far away -->\n\ntext\n\n```sh\nls\n```\n");
  assert.equal(block?.notRun, undefined);
});

Deno.test("findCodeBlocks() refuses a block without an end", () => {
  assert.throws(() => findCodeBlocks("```ts\nconst a = 1;\n"), /line 1 is never closed/);
});

Deno.test("shellSteps() pairs each command with the lines behind it", () => {
  assert.deepEqual(shellSteps("$ echo a \\\n    b\na b\n…\n\n$ false # exit 1\n$ true"), [
    { command: "echo a b", expected: "a b\n…", exitStatus: 0 },
    { command: "false # exit 1", exitStatus: 1 },
    { command: "true", exitStatus: 0 },
  ]);
});

Deno.test("shellSteps() takes a block without prompts as commands alone", () => {
  assert.deepEqual(shellSteps("# set up\nmkdir a\n\ncd a && \\\n  ls\n"), [
    { command: "mkdir a", exitStatus: 0 },
    { command: "cd a && ls", exitStatus: 0 },
  ]);
});

Deno.test("shellSteps() refuses output before the first command", () => {
  assert.throws(() => shellSteps("a b\n$ echo a b"), /output before the first command: a b/);
});
