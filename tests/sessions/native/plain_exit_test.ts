import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { blocksModel } from "../../pipeline/residency/_blocks_model.ts";

const SCRIPT = fileURLToPath(new URL("./exit_in_opening_script.ts", import.meta.url));

Deno.test("a process may end while sessions are opened, with its own exit code", async () => {
  using file = blocksModel({ blocks: 12, width: 256, heads: 4 });
  for (let delayMs = 0; delayMs < 48; delayMs += 3) {
    const way = delayMs % 2 === 0 ? "exit" : "throw";
    const { code, signal, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        "--no-lock",
        "--quiet",
        SCRIPT,
        file.path,
        `${delayMs}`,
        way,
      ],
      env: { ORT_DISABLE_TELEMETRY: "1", NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    const said = decoder.decode(stderr);
    assert.equal(decoder.decode(stdout), "ending\n");
    assert.deepEqual([code, signal], [way === "exit" ? 7 : 1, null], said);
    assert.doesNotMatch(said, /onnxruntime|pure virtual|terminate called/, said);
  }
});
