// The contract of an engine on CUDA; run by cuda_test.ts where there is a device.

import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { engineConformance } from "../engine_conformance.ts";

engineConformance(() => new NativeEngine(), "cuda");
