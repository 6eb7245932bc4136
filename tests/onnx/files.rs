//! What files may look like, and which are refused, with words that help.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use tempfile::TempDir;
use wan_animate::unversioned::onnx::{Data, Graph, Value};

use crate::make::{adding, bytes, external, int, ints, model, node, port, raw, tensor, write};

const WEIGHTS: [f32; 4] = [1.0, -2.0, 0.5, 4.0];

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

/// What opening a file of this content says.
fn refusal(content: &[u8]) -> String {
    let folder = folder();
    let path = write(folder.path(), "model.onnx", content);
    let message = Graph::open(&path, &[]).expect_err("refused").to_string();
    assert!(message.contains("model.onnx"), "{message}");
    message
}

#[track_caller]
fn assert_refused(content: &[u8], words: &[&str]) {
    let message = refusal(content);
    words.iter().for_each(|word| assert!(message.contains(word), "`{word}` is not in: {message}"));
}

/// A graph of one node between an input and an output of shape [2, 2].
fn single(node: Vec<u8>) -> Vec<u8> {
    model(&[port(11, "x", &[2, 2]), port(12, "y", &[2, 2]), node])
}

fn add(graph: &Graph) -> Vec<f32> {
    let x = Value::new(&[2, 2], Data::F32(vec![1.0; 4]));
    graph.run(&[("x", x)]).expect("computed")[0].f32().expect("numbers").to_vec()
}

const SUM: [f32; 4] = [2.0, -1.0, 1.5, 5.0];

#[test]
fn elements_may_be_bytes_or_a_list_packed_or_not() {
    let folder = folder();
    let packed = bytes(4, WEIGHTS.iter().flat_map(|weight| weight.to_le_bytes()).collect::<Vec<_>>());
    let single: Vec<u8> = WEIGHTS.iter().flat_map(|weight| [&[4 << 3 | 5][..], &weight.to_le_bytes()].concat()).collect();
    for elements in [raw(&WEIGHTS), packed, single] {
        let path = write(folder.path(), "model.onnx", adding(&[elements]));
        assert_eq!(add(&Graph::open(path, &[]).expect("opened")), SUM);
    }
}

#[test]
fn elements_may_be_in_files_beside_the_model() {
    let folder = folder();
    let stored: Vec<u8> = WEIGHTS.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    write(folder.path(), "parts/w.bin", [&[7; 12][..], &stored, &[7; 5]].concat());
    write(folder.path(), "w.bin", &stored);
    let within = external(&[("location", "parts/w.bin"), ("offset", "12"), ("length", "16")]);
    for place in [within, external(&[("location", "./w.bin")])] {
        let path = write(folder.path(), "model.onnx", adding(&[place]));
        assert_eq!(add(&Graph::open(path, &[]).expect("opened")), SUM);
    }
}

#[test]
fn elements_may_be_beyond_four_gibibytes() {
    let folder = folder();
    let offset = (1u64 << 32) + 4096;
    // The file has a hole, which takes no space.
    let mut file = File::create(folder.path().join("w.bin")).expect("writable");
    file.seek(SeekFrom::Start(offset)).expect("seekable");
    file.write_all(&WEIGHTS.map(f32::to_le_bytes).concat()).expect("writable");
    let place = external(&[("location", "w.bin"), ("offset", &offset.to_string()), ("length", "16")]);
    let path = write(folder.path(), "model.onnx", adding(&[place]));
    assert_eq!(add(&Graph::open(path, &[]).expect("opened")), SUM);
}

#[test]
fn a_folder_stands_for_the_model_in_it() {
    let folder = folder();
    write(folder.path(), "a.onnx", adding(&[raw(&WEIGHTS)]));
    assert_eq!(add(&Graph::open(folder.path(), &[]).expect("opened")), SUM);
    write(folder.path(), "b.onnx", b"no model");
    let message = Graph::open(folder.path(), &[]).expect_err("ambiguous").to_string();
    assert!(message.contains("2 files of the folder end in .onnx"), "{message}");
    write(folder.path(), "end2end.onnx", adding(&[raw(&WEIGHTS)]));
    assert_eq!(add(&Graph::open(folder.path(), &[]).expect("opened")), SUM);
}

#[test]
fn external_files_that_are_missing_short_or_elsewhere_are_refused() {
    write(std::env::temp_dir().as_path(), "outside.bin", [0; 16]);
    let at = |place: &str| adding(&[external(&[("location", place)])]);
    assert_refused(&at("gone.bin"), &["gone.bin", "missing", "tensor `w`", "model.onnx"]);
    for place in ["../outside.bin", "/etc/passwd", "a/../../outside.bin", "", "."] {
        assert_refused(&at(place), &["tensor `w`", "not in the model's folder"]);
    }
    assert_refused(&adding(&[external(&[])]), &["tensor `w`", "does not name"]);
    assert_refused(&adding(&[external(&[("location", "w"), ("offset", "-1")])]), &["tensor `w`", "offset", "`-1`"]);
    let folder = folder();
    write(folder.path(), "w.bin", [0; 20]);
    for (offset, length) in [("8", "16"), ("21", "0"), ("18446744073709551615", "16"), ("0", "12")] {
        let place = external(&[("location", "w.bin"), ("offset", offset), ("length", length)]);
        let path = write(folder.path(), "model.onnx", adding(&[place]));
        let message = Graph::open(path, &[]).expect_err("refused").to_string();
        assert!(message.contains("tensor `w`") && message.contains("bytes"), "{message}");
    }
}

#[test]
fn what_is_no_model_is_refused() {
    assert_refused(b"PK\x03\x04 a torch archive", &["no ONNX model", "download or export it again"]);
    assert_refused(b"{\"json\": 1}", &["no ONNX model"]);
    assert_refused(&int(1, 8), &["no ONNX model", "no graph"]);
    assert_refused(&[int(1, 8), bytes(7, port(11, "x", &[1]))].concat(), &["which version of ONNX's operators"]);
    assert_refused(&[bytes(8, int(2, 99)), bytes(7, "")].concat(), &["version 99", "6 to 28"]);
}

#[test]
fn a_model_that_is_cut_short_anywhere_is_refused_or_computes() {
    let folder = folder();
    let whole = adding(&[raw(&WEIGHTS)]);
    let mut refused = 0;
    for end in 1..whole.len() {
        let path = write(folder.path(), "model.onnx", &whole[..end]);
        refused += usize::from(Graph::open(path, &[]).is_err());
    }
    // Nothing but the graph is at the end, so every cut is within it.
    assert_eq!(refused, whole.len() - 1);
}

#[test]
fn operators_that_are_not_supported_are_named_with_what_to_do() {
    let body = [bytes(1, "then_branch"), bytes(6, ""), int(20, 5)].concat();
    assert_refused(&single(node("If", &["x"], &["y"], &[body])), &["node `the_If` (If)", "control flow", "tracing"]);
    assert_refused(&single(node("Loop", &["x"], &["y"], &[])), &["(Loop)", "control flow"]);
    assert_refused(&single(node("QLinearConv", &["x"], &["y"], &[])), &["(QLinearConv)", "quantised", "f32 or f16"]);
    assert_refused(&single(node("DequantizeLinear", &["x"], &["y"], &[])), &["quantised"]);
    assert_refused(&single(node("LSTM", &["x"], &["y"], &[])), &["(LSTM)", "recurrent"]);
    assert_refused(&single(node("Frobnicate", &["x"], &["y"], &[])), &["(Frobnicate)", "export the model without it"]);
    let other = [bytes(1, "x"), bytes(2, "y"), bytes(4, "FusedConv"), bytes(7, "com.microsoft")].concat();
    assert_refused(&single(bytes(1, other)), &["node `#0` (FusedConv)", "`com.microsoft`", "not of ONNX itself"]);
    assert_refused(&single(node("Relu", &["x"], &["y"], &[ints("slopes", &[1])])), &["(Relu)", "`slopes`"]);
    assert_refused(&single(node("Relu", &["x", "x"], &["y"], &[])), &["(Relu)", "2 inputs"]);
    let two = [node("If", &["x"], &["z"], &[]), node("Scan", &["z"], &["y"], &[])].concat();
    assert_refused(&single(two), &["(If)", "1 further node", "(Scan)"]);
}

#[test]
fn nodes_that_no_output_needs_may_be_of_any_kind() {
    let folder = folder();
    let parts = [node("Relu", &["x"], &["y"], &[]), node("Loop", &["x"], &["unused"], &[])].concat();
    let path = write(folder.path(), "model.onnx", single(parts));
    assert_eq!(Graph::open(path, &[]).expect("opened").nodes().len(), 1);
}

#[test]
fn free_extents_have_to_be_given() {
    let relu = node("Relu", &["x"], &["y"], &[]);
    let free = model(&[port(11, "x", &[-1, 3, -1]), port(12, "y", &[]), relu]);
    assert_refused(&free, &["input `x`", "free extent 2 `height`", "[height, 3, height]"]);
    let folder = folder();
    let path = write(folder.path(), "model.onnx", &free);
    let graph = Graph::open(&path, &[("x", &[2, 3, 4])]).expect("opened");
    assert_eq!(graph.outputs()[0].shape.as_deref(), Some(&[2, 3, 4][..]));
    for (shapes, words) in [(("x", &[2, 4, 4][..]), "cannot have the shape [2, 4, 4]"), (("z", &[1][..]), "no input `z`, but x")] {
        let message = Graph::open(&path, &[shapes]).expect_err("refused").to_string();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn graphs_that_contradict_themselves_are_refused() {
    let relu = |from: &str, to: &str| node("Relu", &[from], &[to], &[]);
    assert_refused(&single(relu("gone", "y")), &["node `the_Relu` (Relu)", "`gone`", "nothing before it makes"]);
    assert_refused(&single([relu("z", "y"), relu("x", "z")].concat()), &["`z`", "nothing before it makes"]);
    assert_refused(&single([relu("x", "y"), relu("x", "y")].concat()), &["`y` is made twice"]);
    assert_refused(&single(relu("x", "z")), &["no node makes its output `y`"]);
    assert_refused(&adding(&[raw(&WEIGHTS[..3])]), &["tensor `w`", "16 bytes", "has 12"]);
    assert_refused(&adding(&[bytes(4, [0; 8])]), &["tensor `w`", "4 elements"]);
    let sparse = model(&[bytes(15, ""), port(11, "x", &[1]), port(12, "x", &[1])]);
    assert_refused(&sparse, &["sparse"]);
    let wide =
        model(&[tensor("w", &[3], &[raw(&[0.0; 3])]), port(11, "x", &[2, 2]), port(12, "y", &[]), node("Add", &["x", "w"], &["y"], &[])]);
    assert_refused(&wide, &["(Add)", "[2, 2]", "[3]"]);
    let text = bytes(5, [int(1, 2), int(2, 8), bytes(8, "w"), bytes(6, "a"), bytes(6, "b")].concat());
    assert_refused(
        &model(&[text, port(11, "x", &[2]), port(12, "y", &[]), node("Add", &["x", "w"], &["y"], &[])]),
        &["tensor `w`", "text"],
    );
}

#[test]
fn shapes_beyond_any_memory_are_refused_when_opened() {
    let parts = |dims: &[i64], node| model(&[port(11, "x", dims), port(12, "y", &[]), node]);
    assert_refused(&parts(&[1 << 40, 1 << 40], node("Relu", &["x"], &["y"], &[])), &["input `x`", "too large"]);
    assert_refused(
        &parts(&[1, 1, 4], node("Pad", &["x"], &["y"], &[ints("pads", &[0, 0, 0, 1 << 30, 1 << 30, 1 << 30])])),
        &["(Pad)", "too large"],
    );
    assert_refused(&adding(&[int(1, i64::MAX), int(1, i64::MAX), raw(&WEIGHTS)]), &["tensor `w`", "beyond any file"]);
}

/// There is nothing to make means of, but as many results as ever.
#[test]
fn images_may_be_empty() {
    let folder = folder();
    for op in ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"] {
        let parts = [port(11, "x", &[1, 3, 5, 0]), port(12, "y", &[]), node(op, &["x"], &["y"], &[])];
        let graph = Graph::open(write(folder.path(), "model.onnx", model(&parts)), &[]).expect("opened");
        let made = graph.run(&[("x", Value::new(&[1, 3, 5, 0], Data::F32(Vec::new())))]).expect("computed");
        assert_eq!(made[0].shape(), [1, 3, 1, 1], "{op}");
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let folder = folder();
    let graph = Graph::open(write(folder.path(), "model.onnx", adding(&[raw(&WEIGHTS)])), &[]).expect("opened");
    let value = |shape: &[usize]| Value::new(shape, Data::F32(vec![0.0; shape.iter().product()]));
    let refused = |inputs: &[(&str, Value)]| graph.run(inputs).expect_err("refused").to_string();
    assert!(refused(&[]).contains("its input `x` is missing"));
    assert!(refused(&[("z", value(&[2, 2]))]).contains("no input `z`"));
    assert!(refused(&[("x", value(&[4]))]).contains("of shape [4], not F32 of shape [2, 2]"));
    assert!(refused(&[("x", Value::new(&[2, 2], Data::I64(vec![0; 4])))]).contains("I64"));
}
