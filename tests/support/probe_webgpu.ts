// Prints whether WebGPU works in this process, as JSON.

import { NativeEngine } from "../../sessions/native/native_engine.ts";
import { providerDescriptor } from "../../sessions/provider.ts";

console.log(JSON.stringify(await providerDescriptor("webgpu").probe(new NativeEngine())));
