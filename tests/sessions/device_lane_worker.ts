// The worker of device_lane_test.ts: goes into a lane, says so, and stays until it is told to leave.

import { DeviceLane } from "../../sessions/device_lane.ts";

const port = globalThis as unknown as { postMessage(message: unknown): void };
const leaving = new Promise<void>((resolve) => {
  globalThis.addEventListener("message", () => resolve(), { once: true });
});
await new DeviceLane("lane of a test").through(() => {
  port.postMessage("inside");
  return leaving;
});
