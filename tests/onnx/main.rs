//! Networks from ONNX files, computed on the host.

mod cases;
mod close;
mod files;
mod fusion;
mod goldens;
mod gpu;
mod host;
mod make;
