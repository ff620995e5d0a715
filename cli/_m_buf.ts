import { ModelProtoSchema } from "onnx-buf";
console.log(ModelProtoSchema.typeName);
