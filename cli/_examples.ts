// Examples for the help of each subcommand, by the words that call it. A test holds that every subcommand
// has one and that each can be parsed.

/** Examples, without the `hookline` before them. */
export const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  inspect: ["inspect bert.onnx", "inspect bert.onnx --json"],
  run: [
    "run bert.onnx --inputs bert/ --out outputs.safetensors",
    "run bert.onnx --random 1 --dim batch=1 --plugin ./my-plugin",
  ],
  verify: ["verify bert.onnx --random 1 --optimization disabled"],
  explain: ['explain bert.onnx --tap "encoder.layer.*"', "explain bert.onnx --plugin ./my-plugin"],
  trace: ["trace bert.onnx --inputs bert/ --output trace.jsonl --stats abs_mean,max"],
  capture: ['capture bert.onnx --random 1 --select hidden="encoder.layer.*" --out h.safetensors'],
  compare: [
    "compare bert.onnx bert_int8.onnx --html report.html",
    "compare bert.onnx --candidate-optimization disabled",
  ],
  report: ["report trace.jsonl --html trace.html"],
  diff: ["diff reference.jsonl candidate.jsonl --html report.html"],
  record: ["record bert.onnx encoder.layer.1 --inputs bert/ --out layer1.safetensors"],
  replay: [
    "replay bert.onnx layer1.safetensors",
    "replay int8.onnx layer1.safetensors --other-model",
  ],
  sensitivity: [
    "sensitivity bert.onnx --inputs bert/ --substitute int8",
    "sensitivity bert.onnx --inputs bert/ --other bert_int8.onnx",
  ],
  doctor: ["doctor", "doctor --json"],
  completion: ["completion bash > ~/.local/share/bash-completion/completions/hookline"],
  plugin: ["plugin new trace-max", "plugin check trace-max", "plugin list"],
  "plugin new": ["plugin new @my-scope/trace-max", "plugin new louder --kind transformer"],
  "plugin check": [
    "plugin check .",
    "plugin check . --sign",
    "plugin check npm:@my-scope/trace-max",
  ],
  "plugin grant": ["plugin grant ./trace-max", "plugin grant npm:@my-scope/trace-max --deny net"],
  "plugin list": ["plugin list --lock app/hookline.lock.json"],
  "plugin pack": ["plugin pack my-scope-trace-max-0.1.0.tgz"],
  "plugin run-flags": ["plugin run-flags --model bert.onnx --plugin ./trace-max"],
};

/** The examples of a subcommand as its help shows them; empty when there are none. */
export function examplesText(path: string): string {
  const examples = Object.hasOwn(EXAMPLES, path) ? EXAMPLES[path] ?? [] : [];
  if (examples.length === 0) return "";
  const lines = examples.map((example) => `  $ hookline ${example}`);
  return `\nExample${examples.length === 1 ? "" : "s"}:\n${lines.join("\n")}`;
}
