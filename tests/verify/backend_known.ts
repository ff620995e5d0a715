// What is known of Debian's ONNX backend suite (libonnx-testdata 1.12.0) and ONNX Runtime 1.29: the models
// that verify cannot say anything about, each by name, so that none joins them unseen.

import type { PlainFailure } from "./plain_runtime.ts";

/** Models of more than one live node that plain onnxruntime-node does not pass, and why. */
export const NOT_PASSED_BY_PLAIN: Readonly<Record<string, PlainFailure>> = {
  "node/test_bernoulli_double_expanded": "draws random numbers",
  "node/test_bernoulli_expanded": "draws random numbers",
  "node/test_bernoulli_seed_expanded": "gives another result than the suite expects",
  "node/test_sequence_map_add_1_sequence_1_tensor_expanded": "JavaScript cannot feed it",
  "node/test_sequence_map_add_2_sequences_expanded": "JavaScript cannot feed it",
  "node/test_sequence_map_extract_shapes_expanded": "JavaScript cannot feed it",
  "node/test_sequence_map_identity_1_sequence_1_tensor_expanded": "JavaScript cannot feed it",
  "node/test_sequence_map_identity_1_sequence_expanded": "JavaScript cannot feed it",
  "node/test_sequence_map_identity_2_sequences_expanded": "JavaScript cannot feed it",
  "simple/test_gradient_of_add": "does not load",
  "simple/test_gradient_of_add_and_mul": "does not load",
  "pytorch-converted/test_AvgPool1d": "does not load",
  "pytorch-converted/test_AvgPool1d_stride": "does not load",
  "pytorch-converted/test_GLU": "does not load",
  "pytorch-converted/test_GLU_dim": "does not load",
  "pytorch-converted/test_PoissonNLLLLoss_no_reduce": "does not load",
  "pytorch-converted/test_Softsign": "does not load",
  "pytorch-operator/test_operator_addconstant": "does not load",
  "pytorch-operator/test_operator_addmm": "does not load",
  "pytorch-operator/test_operator_basic": "does not load",
  "pytorch-operator/test_operator_mm": "does not load",
  "pytorch-operator/test_operator_non_float_params": "does not load",
  "pytorch-operator/test_operator_params": "does not load",
};

/**
 * Models of more than one live node without a tap and without a cut: every value between their nodes
 * is a sequence, a constant, or an output of the model.
 */
export const NOTHING_TO_COMPARE: readonly string[] = [
  "node/test_resize_downsample_sizes_nearest_tf_half_pixel_for_nn",
  "simple/test_sequence_model1",
  "simple/test_sequence_model2",
  "simple/test_sequence_model3",
  "simple/test_sequence_model4",
  "simple/test_sequence_model5",
  "simple/test_sequence_model6",
  "simple/test_sequence_model7",
  "simple/test_sequence_model8",
  "pytorch-converted/test_Linear_no_bias",
  "pytorch-operator/test_operator_repeat",
  "pytorch-operator/test_operator_symbolic_override_nested",
];

/** Models over which ONNX Runtime ends the process on the inputs that the suite recorded. */
export const ENDS_THE_PROCESS: readonly string[] = [];

/** Models over which it does so on other inputs; a test shows that it still does. */
export const ENDS_THE_PROCESS_ON_OTHER_INPUTS: readonly string[] = ["node/test_if_opt"];
