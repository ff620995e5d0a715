/**
 * What a plugin's own tests need: an engine without native code, small models with named modules, and the
 * cases that every plugin must pass.
 *
 * @example
 * ```ts ignore
 * import { pluginConformance } from "@hookline/hookline/testing";
 * for (const one of pluginConformance(new URL(".", import.meta.url))) Deno.test(one.name, one.run);
 * ```
 *
 * @module
 */

export { buildModel, type BuildModelOptions } from "./build_model.ts";
export { FAKE_OPERATORS, fakeEngine } from "./fake_engine.ts";
export {
  type ConformanceCase,
  type ConformanceOptions,
  pluginConformance,
} from "./plugin_conformance.ts";
