//! Networks from ONNX files, computed on the host.

mod cases;
mod close;
