// ONNX Runtime 1.29 writes a device id and an event database and makes DNS queries unless a variable
// says otherwise before its library is loaded. Both engines load it, so both come through here.

import { setVariable } from "../host/environment.ts";

/** Whether telemetry is off, or why it could not be switched off. */
export type TelemetryState = "off" | `could not be switched off: ${string}`;

/** Switches telemetry off; call it before the library is loaded. */
export function switchTelemetryOff(): TelemetryState {
  if (setVariable("ORT_DISABLE_TELEMETRY", "1")) return "off";
  const fix = "set it to 1 in the environment or grant --allow-env=ORT_DISABLE_TELEMETRY";
  return `could not be switched off: this process may not set ORT_DISABLE_TELEMETRY; ${fix}`;
}
