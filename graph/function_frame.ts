// What is known of an inlined node's origin: the calls of model-local functions it came out of. The
// inliner writes frames, the naming evidence reads them; neither knows the other.

/** One call of a model-local function that a node was inlined from. */
export interface FunctionFrame {
  /** Name of the call node; possibly empty, and some exporters misname it. */
  readonly callName: string;
  /** The function's domain, such as `pkg.transformers.4.40` or `torch.nn.modules.linear`. */
  readonly domain: string;
  /** The function's name, such as `Linear` or `transformers_models_bert_BertLayer_encoder_layer_0_1`. */
  readonly functionName: string;
  /** The function's overload, or `""`. */
  readonly overload: string;
  /** Names of the initializers that this call passed, in order of its inputs. */
  readonly parameters: readonly string[];
}
