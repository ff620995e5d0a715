import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Engine, EngineSession } from "../../sessions/engine.ts";
import { NapiEngine } from "../../sessions/napi_engine.ts";
import {
  isProviderName,
  PROVIDER_NAMES,
  providerDescriptor,
  resolveProvider,
} from "../../sessions/provider.ts";
import { vulkanAdvice } from "../../sessions/providers/_vulkan_advice.ts";
import { skippable } from "../skippable.ts";
import { probeSession } from "../../sessions/providers/_probe_session.ts";
import { sessionCreateError } from "../../sessions/session_errors.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { float32 } from "../../tensor/tensor.ts";
import { expectCode } from "./expect_code.ts";

/** An engine that opens nothing: whoever asks it for a session fails the test. */
const UNTOUCHED: Engine = {
  name: "napi",
  version: () => assert.fail("the engine was touched"),
  open: () => assert.fail("the engine was touched"),
};

function engineReturning(number: number): Engine {
  const session: EngineSession = {
    inputs: [],
    outputs: [],
    released: false,
    run: () => Promise.resolve({ y: float32([1], [number]) }),
    release: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { ...UNTOUCHED, open: () => Promise.resolve(session) };
}

Deno.test("resolveProvider() takes cpu without touching the engine", async () => {
  const { provider, because } = await resolveProvider("cpu", UNTOUCHED);
  assert.equal(provider.name, "cpu");
  assert.match(because, /cpu was asked for/);
});

Deno.test("resolveProvider() names the nearest provider for an unknown one", async () => {
  const error = await expectCode(
    "PROVIDER_UNKNOWN",
    () => resolveProvider("cuad", UNTOUCHED),
  );
  assert.match(error.fix, /"cuda"/);
  await expectCode(
    "PROVIDER_UNKNOWN",
    () => resolveProvider("__proto__", UNTOUCHED),
  );
});

Deno.test("resolveProvider() decides auto by a probe and says why", async () => {
  const engine = new NapiEngine();
  const { provider, because } = await resolveProvider("auto", engine);
  const cuda = await providerDescriptor("cuda").probe(engine, { byName: false });
  assert.equal(provider.name, cuda.available ? "cuda" : "cpu");
  assert.match(because, cuda.available ? /chose cuda/ : /chose cpu, because/);
  if (!cuda.available) assert.ok(because.endsWith(cuda.reason));
});

for (const name of ["cuda", "webgpu"] as const) {
  Deno.test(`resolveProvider() takes ${name} by name or refuses it, never replaces it`, async () => {
    const engine = new NapiEngine();
    const found = await providerDescriptor(name).probe(engine);
    if (found.available) {
      assert.equal((await resolveProvider(name, engine)).provider.name, name);
    } else {
      const error = await expectCode(
        "PROVIDER_UNAVAILABLE",
        () => resolveProvider(name, engine),
      );
      assert.ok(error.message.endsWith(found.reason));
      assert.equal(error.fix, found.fix);
    }
    assert.equal(sessionLedger.count, 0);
  });
}

Deno.test("probeSession() believes a number, not an open session", async () => {
  const right = await probeSession(engineReturning(2), "webgpu", "fix it");
  assert.equal(right.available, true);
  const wrong = await probeSession(engineReturning(3), "webgpu", "fix it");
  assert.deepEqual(wrong, {
    available: false,
    reason: "a one-node model returned a wrong number",
    fix: "fix it",
  });
});

Deno.test("probeSession() tells a refused session from a missing engine", async () => {
  const settings = {
    provider: "cuda",
    optimization: "all",
    threads: 1,
    prepacking: true,
    label: "probe",
  } as const;
  const refusing: Engine = {
    ...UNTOUCHED,
    open: () => Promise.reject(sessionCreateError(settings, new Error("no\nluck"))),
  };
  assert.deepEqual(await probeSession(refusing, "cuda", "fix it"), {
    available: false,
    reason: "no",
    fix: "fix it",
  });
  const broken: Engine = {
    ...UNTOUCHED,
    open: () => Promise.reject(new RangeError("a bug")),
  };
  await assert.rejects(probeSession(broken, "cuda", "fix it"), RangeError);
});

Deno.test("every provider describes itself under its own name", () => {
  for (const name of PROVIDER_NAMES) {
    assert.ok(isProviderName(name));
    const descriptor = providerDescriptor(name);
    assert.equal(descriptor.name, name);
    assert.ok(descriptor.platforms.length > 0);
  }
  assert.equal(providerDescriptor("cpu").determinism, "bitwise");
  assert.ok(providerDescriptor("cpu").platforms.includes(process.platform));
});

Deno.test("resolveProvider() looks for CUDA without a prompt where reading is not granted", async () => {
  const { permissions } = Deno;
  const asked: unknown[] = [];
  const denying = {
    querySync: (question: unknown) => {
      asked.push(question);
      return { state: "prompt" };
    },
  };
  Object.defineProperty(Deno, "permissions", { value: denying, configurable: true });
  try {
    const { provider, because } = await resolveProvider("auto", UNTOUCHED);
    assert.equal(provider.name, "cpu");
    assert.match(because, process.platform === "linux" ? /may not look for/ : /cpu/);
    if (process.platform === "linux") assert.ok(asked.length >= 1);
  } finally {
    Object.defineProperty(Deno, "permissions", { value: permissions, configurable: true });
  }
});

Deno.test({
  ...skippable(
    "webgpu says what the machine lacks: loader, driver, a newer one, or a variable",
    process.platform === "linux" ? undefined : "Vulkan's files are looked for on Linux",
  ),
  fn() {
    const root = mkdtempSync(join(tmpdir(), "hookline-vulkan-"));
    try {
      const [manifests, libraries] = [join(root, "icd.d"), join(root, "lib")];
      const variables: Record<string, string> = {};
      const advice = () =>
        vulkanAdvice({
          manifestFolders: [manifests],
          libraryFolders: [libraries],
          variable: (name) => variables[name],
        });
      const manifest = (name: string, version: string): void =>
        writeFileSync(join(manifests, name), JSON.stringify({ ICD: { api_version: version } }));
      mkdirSync(libraries);
      assert.match(advice(), /install the Vulkan loader libvulkan.so.1 \(Debian: libvulkan1\)/);
      writeFileSync(join(libraries, "libvulkan.so.1"), "");
      assert.match(advice(), /mesa-vulkan-drivers 25 or newer .*: there is no Vulkan driver$/);
      mkdirSync(manifests);
      manifest("intel_icd.json", "1.4.305");
      assert.match(advice(), /mesa-vulkan-drivers .* or a driver for the GPU/);
      manifest("lvp_icd.x86_64.json", "1.3.230");
      assert.match(advice(), /declares Vulkan 1\.3\.230 and is too old/);
      manifest("lvp_icd.x86_64.json", "1.4.305");
      assert.match(advice(), /^set VK_DRIVER_FILES=.*lvp_icd\.x86_64\.json and XDG_RUNTIME_DIR/);
      variables["VK_DRIVER_FILES"] = join(root, "gone.json");
      assert.match(advice(), /^correct VK_DRIVER_FILES: .*gone\.json does not exist$/);
    } finally {
      rmSync(root, { recursive: true });
    }
  },
});
