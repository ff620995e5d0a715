// What a Linux machine lacks for WebGPU: a loader, a driver, one that is new enough, or a variable that
// points to it. It looks at files alone, never with a prompt, and loads nothing.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { join } from "node:path";
import { isGranted, readVariable } from "../../host/environment.ts";

/** Where to look. */
export interface VulkanPlaces {
  /** Folders of drivers' manifests. */
  readonly manifestFolders: readonly string[];
  /** Folders of shared libraries. */
  readonly libraryFolders: readonly string[];
  /** The value of an environment variable; undefined when it is not set or may not be read. */
  readonly variable: (name: string) => string | undefined;
}

const LIBRARY = "libvulkan.so.1";
const SYSTEM: VulkanPlaces = {
  manifestFolders: [
    "/usr/share/vulkan/icd.d",
    "/etc/vulkan/icd.d",
    "/usr/local/share/vulkan/icd.d",
  ],
  libraryFolders: [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
  ],
  variable: readVariable,
};
/** Mesa 25.0 declares 1.4; Dawn refuses the software drivers of the versions before. */
const OLDEST_SOFTWARE = [1, 4] as const;
const INSTALL = "install mesa-vulkan-drivers 25 or newer (on Debian 12 from bookworm-backports)";
const GENERAL = 'install a Vulkan driver and its loader, or use provider "cpu"';

/** One imperative line: what to do so that WebGPU finds an adapter. */
export function vulkanAdvice(places: VulkanPlaces = SYSTEM): string {
  if (process.platform !== "linux") return GENERAL;
  const { manifestFolders, libraryFolders, variable } = places;
  if (![...manifestFolders, ...libraryFolders].every((path) => isGranted({ name: "read", path }))) {
    return `${INSTALL} and libvulkan1, or use provider "cpu"`;
  }
  if (!libraryFolders.some((folder) => existsSync(join(folder, LIBRARY)))) {
    return `install the Vulkan loader ${LIBRARY} (Debian: libvulkan1); ${INSTALL}`;
  }
  const named = (variable("VK_DRIVER_FILES") ?? variable("VK_ICD_FILENAMES") ?? "").split(":")
    .filter((path) => path !== "");
  const missing = named.find((path) => !existsSync(path));
  if (missing !== undefined) return `correct VK_DRIVER_FILES: ${missing} does not exist`;
  const manifests = manifestFolders.flatMap(manifestsIn);
  if (named.length === 0 && manifests.length === 0) return `${INSTALL}: there is no Vulkan driver`;
  const software = manifests.find((path) => /(^|\/)lvp_icd[^/]*$/.test(path));
  if (software === undefined) return `${INSTALL}, or a driver for the GPU of this machine`;
  const version = declaredVersion(software);
  if (version !== null && isOlder(version)) {
    return `${INSTALL}: the one here declares Vulkan ${version} and is too old for WebGPU`;
  }
  return `set VK_DRIVER_FILES=${software} and XDG_RUNTIME_DIR to a folder of your own, to compute on the ` +
    "processor";
}

function manifestsIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(".json")).sort()
      .map((name) => join(folder, name));
  } catch {
    return []; // not there
  }
}

function declaredVersion(manifest: string): string | null {
  try {
    const { ICD } = JSON.parse(readFileSync(manifest, "utf8")) as {
      ICD?: { api_version?: unknown };
    };
    return typeof ICD?.api_version === "string" ? ICD.api_version : null;
  } catch {
    return null; // damaged, which the loader says by itself
  }
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < OLDEST_SOFTWARE[0] || (major === OLDEST_SOFTWARE[0] && minor < OLDEST_SOFTWARE[1]);
}
