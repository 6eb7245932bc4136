//! Small ONNX files, field by field: what libraries would not write can be written too.

use std::path::{Path, PathBuf};

/// A number of the wire format.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A field that is a whole number.
pub fn int(number: u64, value: i64) -> Vec<u8> {
    [varint(number << 3), varint(value as u64)].concat()
}

/// A field that is text, bytes or a message.
pub fn bytes(number: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    [varint(number << 3 | 2), varint(content.as_ref().len() as u64), content.as_ref().to_vec()].concat()
}

/// A node with attributes.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut message: Vec<u8> = inputs.iter().flat_map(|name| bytes(1, name)).collect();
    message.extend(outputs.iter().flat_map(|name| bytes(2, name)));
    message.extend([bytes(3, format!("the_{op}")), bytes(4, op)].concat());
    message.extend(attributes.iter().flat_map(|attribute| bytes(5, attribute)));
    bytes(1, message)
}

/// An attribute that is a whole number.
pub fn whole(name: &str, value: i64) -> Vec<u8> {
    [bytes(1, name), int(3, value), int(20, 2)].concat()
}

/// An attribute of whole numbers.
pub fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|&value| int(8, value)).collect();
    [bytes(1, name), values, int(20, 7)].concat()
}

/// A constant of floating-point numbers with the fields that say where its elements are.
pub fn tensor(name: &str, dims: &[i64], elements: &[Vec<u8>]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&dim| int(1, dim)).collect();
    bytes(5, [dims, int(2, 1), bytes(8, name), elements.concat()].concat())
}

/// Elements in the file.
pub fn raw(elements: &[f32]) -> Vec<u8> {
    bytes(9, elements.iter().flat_map(|element| element.to_le_bytes()).collect::<Vec<_>>())
}

/// Elements in another file.
pub fn external(entries: &[(&str, &str)]) -> Vec<u8> {
    let entries = entries.iter().flat_map(|(key, value)| bytes(13, [bytes(1, key), bytes(2, value)].concat()));
    entries.chain(int(14, 1)).collect()
}

/// An input or output of floating-point numbers; an extent below 0 is free.
pub fn port(number: u64, name: &str, dims: &[i64]) -> Vec<u8> {
    let dim = |&dim: &i64| bytes(1, if dim < 0 { bytes(2, "height") } else { int(1, dim) });
    let shape: Vec<u8> = dims.iter().flat_map(dim).collect();
    bytes(number, [bytes(1, name), bytes(2, bytes(1, [int(1, 1), bytes(2, shape)].concat()))].concat())
}

/// A model of these parts of a graph.
pub fn model(parts: &[Vec<u8>]) -> Vec<u8> {
    [int(1, 8), bytes(8, int(2, 17)), bytes(7, parts.concat())].concat()
}

/// One that adds a constant, whose elements are where the fields say, to its input [2, 2].
pub fn adding(elements: &[Vec<u8>]) -> Vec<u8> {
    let parts = [tensor("w", &[2, 2], elements), port(11, "x", &[2, 2]), port(12, "y", &[2, 2]), node("Add", &["x", "w"], &["y"], &[])];
    model(&parts)
}

/// Writes a file into a folder.
pub fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    std::fs::write(&path, content).expect("writable");
    path
}
