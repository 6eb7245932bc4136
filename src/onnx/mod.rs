//! Networks from ONNX files: read, checked, brought to fixed shapes, and computed on the host.
//!
//! It is no framework: it computes what networks that find persons, key points and masks are made of, and refuses all else by name.

mod call;
mod draft;
mod element;
mod fault;
mod fuse;
mod graph;
mod host;
mod infer;
pub mod lower;
mod node;
mod open;
mod proto;
mod refuse;
mod run;
mod strided;
mod tensor;
mod value;
mod wire;

pub use graph::{Graph, Outline, Port};
pub use node::Node;
pub use tensor::read_tensor;
pub use value::{Data, Kind, Value};
