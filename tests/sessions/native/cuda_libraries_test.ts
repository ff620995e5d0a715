// What can be told of CUDA without a device: which library is missing, and where the provider lies.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { CUDA_PACKAGE, cudaProviderLibrary } from "../../../sessions/_cuda_provider_library.ts";
import { libraryWithCuda } from "../../../sessions/native/_linked_library.ts";
import { missingCudaLibrary } from "../../../sessions/native/cuda_libraries.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { providerDescriptor } from "../../../sessions/provider.ts";
import { skippable } from "../../skippable.ts";

const onLinux = Deno.build.os === "linux" ? undefined : "the libraries are those of Linux";
const PROVIDER = "libonnxruntime_providers_cuda.so";

function inFolder(body: (root: string) => void): void {
  const root = mkdtempSync(join(tmpdir(), "hookline-cuda-test-"));
  try {
    body(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

function touch(path: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "");
  return path;
}

Deno.test({
  ...skippable("missingCudaLibrary() names the first library that cannot be opened", onLinux),
  fn() {
    assert.equal(missingCudaLibrary([["libc.so.6", "no need"]]), null);
    const missing = missingCudaLibrary([
      ["libc.so.6", "no need"],
      ["libhookline-none.so.13", "install it"],
      ["libhookline-other.so.9", "too late"],
    ]);
    assert.equal(missing?.name, "libhookline-none.so.13");
    assert.equal(missing?.fix, "install it");
    assert.match(missing?.reason ?? "", /libhookline-none\.so\.13/);
  },
});

Deno.test({
  ...skippable("cudaProviderLibrary() looks beside ONNX Runtime, then in its package", onLinux),
  fn() {
    const within = ["bin", "napi-v6", "linux", "x64"];
    const inPackage = ["Plugins", "Linux", "x64", PROVIDER];
    inFolder((root) => {
      const folder = join(root, "onnxruntime-node", ...within);
      mkdirSync(folder, { recursive: true });
      const none = { name: PROVIDER, beside: "absent", packaged: null };
      assert.deepEqual(cudaProviderLibrary(folder), none);
      const packaged = touch(join(root, CUDA_PACKAGE.name, ...inPackage));
      assert.deepEqual(cudaProviderLibrary(folder), {
        ...none,
        packaged: Deno.build.arch === "x86_64" ? packaged : null,
      });
      touch(join(folder, PROVIDER));
      assert.equal(cudaProviderLibrary(folder).beside, "present");
    });
    inFolder((root) => { // as in Deno's cache
      const folder = join(root, "onnxruntime-node", "1.29.0", ...within);
      mkdirSync(folder, { recursive: true });
      const { name, version } = CUDA_PACKAGE;
      const packaged = touch(join(root, name, version, ...inPackage));
      if (Deno.build.arch === "x86_64") {
        assert.equal(cudaProviderLibrary(folder).packaged, packaged);
      }
    });
    assert.deepEqual(cudaProviderLibrary(null), {
      name: PROVIDER,
      beside: "unreadable",
      packaged: null,
    });
  },
});

Deno.test({
  ...skippable(
    "libraryWithCuda() leaves the library where it is, without a use for links",
    onLinux,
  ),
  fn() {
    inFolder((root) => {
      const path = join(root, "onnxruntime-node", "bin", "napi-v6", "linux", "x64", "libort.so");
      touch(path);
      assert.equal(libraryWithCuda(path), path);
      touch(join(root, CUDA_PACKAGE.name, "Plugins", "Linux", "x64", PROVIDER));
      if (missingCudaLibrary() !== null) assert.equal(libraryWithCuda(path), path);
      else assert.match(libraryWithCuda(path), /hookline-cuda-.*libonnxruntime\.so\.1$/);
      touch(join(dirname(path), PROVIDER));
      assert.equal(libraryWithCuda(path), path);
    });
  },
});

Deno.test("the probe of cuda says what to get, or runs a model", async () => {
  const found = await providerDescriptor("cuda").probe(new NativeEngine());
  if (found.available) return;
  assert.notEqual(found.reason, "");
  assert.match(found.fix, /provider "cpu"/);
  if (/does not lie beside/.test(found.reason)) {
    assert.match(
      found.fix,
      /deno cache npm:com\.github\.asus4\.onnxruntime\.linux-x64-gpu@0\.4\.9/,
    );
  }
});
