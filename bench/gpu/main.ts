// The benchmarks that need a GPU: `deno run -A bench/gpu/main.ts [--provider cuda|webgpu] [--quick]`.
// Prints figures as JSON lines; see README.md here.

import { chooseEngine } from "../../sessions/engine_choice.ts";
import { resolveProvider } from "../../sessions/provider.ts";
import { measureAgreement } from "./agreement.ts";
import type { GpuRow } from "./gpu_row.ts";
import { measureOffload } from "./offload.ts";

const provider = Deno.args.includes("webgpu") ? "webgpu" : "cuda";
const isQuick = Deno.args.includes("--quick");

const { engine } = await chooseEngine("native");
const { because } = await resolveProvider(provider, engine); // refuses with the reason
const device = deviceName();
print({
  provider: because,
  device,
  onnxruntime: await engine.version(),
  deno: Deno.version.deno,
  isQuick,
});

const rows: GpuRow[] = [];
const add = (more: readonly GpuRow[]): void => {
  rows.push(...more);
  more.forEach(print);
};
add(await measureAgreement({ provider, blocks: 12, width: isQuick ? 64 : 512 }));
add(
  await measureOffload({
    provider,
    byteLength: isQuick ? 16 * 2 ** 20 : 4 * 2 ** 30,
    rounds: isQuick ? 1 : 5,
  }),
);
if (rows.some(({ isMet }) => isMet === false)) Deno.exitCode = 1;

function print(value: object): void {
  console.log(JSON.stringify(value));
}

/** What NVIDIA's driver says; null without one. */
function deviceName(): string | null {
  const fields = "name,driver_version,memory.total";
  try {
    const { stdout } = new Deno.Command("nvidia-smi", {
      args: [`--query-gpu=${fields}`, "--format=csv,noheader"],
    }).outputSync();
    return new TextDecoder().decode(stdout).trim();
  } catch {
    return null;
  }
}
