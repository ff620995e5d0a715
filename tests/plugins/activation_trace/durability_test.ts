// A process that is killed while it traces loses the call that was running and nothing else.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fixturePath } from "../../support/fixture_path.ts";
import { ROOT } from "../../suites.ts";
import { inFolder, type Line } from "./_traced.ts";

const MOD = new URL("../../../mod.ts", import.meta.url).href;
const PLUGIN = new URL("../../../plugins/activation_trace/mod.ts", import.meta.url).href;
const MODULES = 54;

/** Says `call N` when call N has ended, without end. */
const SCRIPT = `
import { writeSync } from "node:fs";
import { openModel, tensor } from ${JSON.stringify(MOD)};
import { activationTrace } from ${JSON.stringify(PLUGIN)};
await using model = await openModel(${JSON.stringify(fixturePath("torch/bert/model.onnx"))});
activationTrace({ output: Deno.args[0] }).attach(model, { modelName: "m" });
const ids = tensor("int64", [1, 2], BigInt64Array.of(0n, 1n));
for (let call = 0; ; call++) {
  await model.run({ input_ids: ids, attention_mask: ids, token_type_ids: ids });
  writeSync(1, new TextEncoder().encode("call " + call + "\\n"));
}
`;

Deno.test(
  "a killed process loses at most the unfinished call and one torn line",
  inFolder(async (folder) => {
    const script = join(folder, "loop.ts");
    const output = join(folder, "trace.jsonl");
    writeFileSync(script, SCRIPT);
    for (const wanted of [1, 40]) {
      writeFileSync(output, "");
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", "--config", join(ROOT, "deno.json"), script, output],
        stdin: "null",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      let said = "";
      for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
        if (!said.includes(`call ${wanted}\n`) && (said + chunk).includes(`call ${wanted}\n`)) {
          child.kill("SIGKILL");
        }
        said += chunk;
      }
      await child.status;
      const calls = Number(/call (\d+)\n$/.exec(said)?.[1]) + 1;
      assert.ok(calls > wanted);
      const lines = readFileSync(output, "utf8").split("\n");
      const torn = lines.pop(); // "" when the last line is whole
      const records = lines.map((line) => JSON.parse(line) as Line)
        .filter((line) => line["type"] === undefined);
      assert.ok(records.length >= calls * MODULES, `${records.length} records of ${calls} calls`);
      assert.deepEqual(records.map(({ seq }) => seq), records.map((_, index) => index));
      assert.ok(torn !== undefined && torn.length < 1000);
    }
  }),
);
