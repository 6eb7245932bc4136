//! What is opened from memory, or behind a reader, is what is opened from disk; what is written to memory is what a file would be.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use crate::common::golden_path;
use wan_animate::unversioned::weights::Weights;
use wan_animate::video::{Audio, Frame, Frames, Motion, VideoFormat, VideoOptions, VideoWriter, open_image};
use wan_animate::{AnimatePipeline, Content, Device, Error, Event, Location, Lora, Precision, Result, State, inspect_weights};

/// In memory.
fn held(path: &Path) -> Content {
    fs::read(path).expect("a golden").into()
}

/// Behind a reader, in the file that it is in.
fn behind_a_reader(path: &Path) -> Content {
    Content::reader(fs::File::open(path).expect("a golden")).expect("a length")
}

/// All files of a folder and those in it.
fn folder(path: &Path, content: fn(&Path) -> Content) -> Location {
    fn all(path: &Path, content: fn(&Path) -> Content, found: &mut Vec<(PathBuf, Content)>) {
        for entry in fs::read_dir(path).expect("a folder") {
            let entry = entry.expect("an entry").path();
            if entry.is_dir() { all(&entry, content, found) } else { found.push((entry.clone(), content(&entry))) }
        }
    }
    let mut found = Vec::new();
    all(path, content, &mut found);
    let relative = |(file, content): (PathBuf, Content)| (file.strip_prefix(path).expect("below it").to_owned(), content);
    Location::folder("in memory", found.into_iter().map(relative))
}

#[test]
fn every_format_of_weights_is_read_from_anywhere() {
    let names = ["formats/blocks.gguf", "formats/module.pth", "formats/tensors.pth", "lora/native.safetensors", "tiny/vae"];
    for path in names.map(golden_path) {
        let disk = Weights::open(&path).expect("opens");
        let locations = match path.is_dir() {
            true => [folder(&path, held), folder(&path, behind_a_reader)],
            false => [held(&path), behind_a_reader(&path)].map(|content| Location::file("weights", content)),
        };
        for location in locations {
            let memory = Weights::open(location).expect("opens");
            assert_eq!(memory.format(), disk.format());
            assert!(disk.iter().count() > 0 && memory.iter().map(|(name, _)| name).eq(disk.iter().map(|(name, _)| name)));
            for (name, info) in disk.iter() {
                let [a, b] = [&disk, &memory].map(|weights| weights.to_f32(name, &info.shape).map_err(|error| error.to_string()));
                match (a, b) {
                    (Ok(a), Ok(b)) => assert!(a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}"),
                    (Err(_), Err(_)) => {}
                    (a, b) => panic!("{name}: {a:?} on disk, {b:?} in memory"),
                }
            }
        }
    }
}

/// A GGUF header longer than what is read at first, which a reader has to be asked for again.
#[test]
fn a_long_header_is_read_in_pieces() {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let fact = [text("note"), 8u32.to_le_bytes().to_vec(), text(&"x".repeat(3 << 20))].concat();
    let tensor = [text("t"), 1u32.to_le_bytes().to_vec(), 2u64.to_le_bytes().to_vec(), vec![0; 4], vec![0; 8]].concat();
    let counts = [1u64.to_le_bytes(), 1u64.to_le_bytes()].concat();
    let mut file = [b"GGUF".to_vec(), 3u32.to_le_bytes().to_vec(), counts, fact, tensor].concat();
    file.resize(file.len().next_multiple_of(32), 0);
    file.extend([1.5f32.to_le_bytes(), (-2f32).to_le_bytes()].concat());
    let whole = file.len();
    let open = |bytes: Vec<u8>| Weights::open(Location::file("long.gguf", Content::reader(Cursor::new(bytes)).expect("a length")));
    assert_eq!(open(file.clone()).expect("opens").to_f32("t", &[2]).expect("finite"), [1.5, -2.0]);
    for length in [1 << 20, whole - 9, whole - 1] {
        let error = open(file[..length].to_vec()).expect_err("cut short").to_string();
        assert!(error.starts_with("weights: long.gguf:") && error.contains("cut short"), "{error}");
    }
}

fn frames(pipeline: &AnimatePipeline, motion: &Motion, reference: Location, state: Option<State>) -> Result<(Vec<Frame>, Vec<State>)> {
    let reference = open_image(reference)?;
    let request = pipeline.animate(&reference, motion).size(48, 32).segment_frames(5).num_inference_steps(2).prompt("x");
    let mut generation = match state {
        Some(state) => request.resume(state).start()?,
        None => request.start()?,
    };
    let (mut frames, mut states) = (Vec::new(), Vec::new());
    while let Some(event) = generation.next() {
        if let Event::Frame(frame) = event? {
            frames.push(frame);
        }
        states.push(generation.state());
    }
    Ok((frames, states))
}

#[test]
fn a_whole_job_from_memory_is_that_from_disk() {
    let device = Device::builder().build().expect("an adapter");
    let build = |checkpoint: Location, lora: Location| {
        let builder = AnimatePipeline::builder(&device).checkpoint(checkpoint).precision(Precision::F32);
        builder.lora(Lora::open(lora).expect("a LoRA")).build().expect("builds")
    };
    let motion = |pose: Location, face: Location| {
        let cut = |frames: Frames| Frames::from_images((0..6).map(|i| frames.read(i).expect("a frame"))).expect("frames");
        Motion::new(cut(Frames::open(pose).expect("poses")), cut(Frames::open(face).expect("faces"))).expect("a motion")
    };
    let [checkpoint, lora, image] = ["tiny", "lora/native.safetensors", "inputs/reference.png"].map(golden_path);
    let [pose, face] = ["inputs/pose", "inputs/face_16"].map(golden_path);
    let on_disk = build((&checkpoint).into(), (&lora).into());
    let (expected, states) = frames(&on_disk, &motion((&pose).into(), (&face).into()), (&image).into(), None).expect("frames");
    for content in [held as fn(&Path) -> Content, behind_a_reader] {
        let pipeline = build(folder(&checkpoint, content), Location::file("lora", content(&lora)));
        let motion = motion(folder(&pose, content), folder(&face, content));
        let image = || Location::file("reference", content(&image));
        let (got, _) = frames(&pipeline, &motion, image(), None).expect("frames");
        assert!(got == expected, "other frames");
        // As saved after any event, and in memory.
        let state = &states[states.len() / 2];
        let state = State::open(Location::file("state", state.to_bytes())).expect("a state");
        let begun = state.frames();
        let (rest, _) = frames(&pipeline, &motion, image(), Some(state)).expect("the rest");
        assert!(rest == expected[begun..], "other frames after resuming");
    }
}

#[test]
fn pictures_and_videos_are_read_from_memory() {
    for name in ["video/animated.gif", "video/bframes.mp4", "video/trimmed.mp4", "inputs/pose"] {
        let path = golden_path(name);
        if cfg!(not(feature = "mp4")) && name.ends_with("mp4") {
            continue;
        }
        let disk = Frames::open(&path).expect(name);
        let location = if path.is_dir() { folder(&path, held) } else { Location::file(name, behind_a_reader(&path)) };
        let memory = Frames::open(location).expect(name);
        assert_eq!((memory.num_frames(), memory.size(), memory.fps()), (disk.num_frames(), disk.size(), disk.fps()));
        for index in (0..disk.num_frames()).rev() {
            assert!(memory.read(index).expect(name) == disk.read(index).expect(name), "{name}: frame {index}");
        }
    }
    let refused = Frames::open(Location::file("a.avi", b"RIFF\0\0\0\0AVI LIST".to_vec())).expect_err("not read here");
    assert!(matches!(refused, Error::Unsupported(_)), "{refused}");
    let slow = Frames::open(golden_path("inputs/pose")).expect("frames").with_fps(8.0).expect("a rate");
    assert_eq!((slow.fps(), slow.clone().at_fps(16.0).expect("a rate").num_frames()), (Some(8.0), 2 * slow.num_frames()));
}

#[test]
fn videos_are_written_to_memory() {
    let temporary = tempfile::tempdir().expect("a folder");
    let frame = |index: usize| {
        let sample = |i: usize| ((i * 7 + index * 31) % 64) as f32 / 63.0;
        Frame::new(32, 16, (0..32 * 16 * 3).map(sample).collect()).expect("a frame")
    };
    let mut formats = vec![VideoFormat::Gif, VideoFormat::Safetensors];
    if cfg!(feature = "mp4") {
        formats.extend([VideoFormat::Mp4, VideoFormat::Mov]);
    }
    if cfg!(feature = "webm") {
        formats.push(VideoFormat::WebM);
    }
    let sound = golden_path("video/sound.mp4");
    for format in formats {
        let options = || VideoOptions::default().audio(Audio::open(Location::file("sound", held(&sound))).expect("sound"));
        let path = temporary.path().join("video").with_extension(format.extension());
        let (mut bytes, mut on_disk) = (Cursor::new(Vec::new()), VideoWriter::create_with(&path, 32, 16, 8.0, &options()).expect("begins"));
        let mut in_memory = VideoWriter::create_in(&mut bytes, format, 32, 16, 8.0, &options()).expect("begins");
        for index in 0..5 {
            on_disk.write(&frame(index)).expect("written");
            in_memory.write(&frame(index)).expect("written");
        }
        on_disk.finish().expect("finished");
        in_memory.finish().expect("finished");
        assert!(bytes.into_inner() == fs::read(&path).expect("the file"), "{format:?}: other bytes");
    }
}

#[test]
fn faults_in_memory_name_the_file() {
    let absent = inspect_weights(Location::folder("nothing", Vec::<(&str, Vec<u8>)>::new())).expect_err("empty").to_string();
    assert!(absent.starts_with("nothing:"), "{absent}");
    let cut = fs::read(golden_path("lora/native.safetensors")).expect("a golden");
    let cut = Lora::open(Location::file("cut.safetensors", cut[..cut.len() - 5].to_vec())).expect_err("cut short").to_string();
    assert!(cut.contains("cut.safetensors: cut short"), "{cut}");
    struct Failing(u64);
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the line is dead"))
        }
    }
    impl std::io::Seek for Failing {
        fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
            Ok(if let std::io::SeekFrom::End(_) = to { self.0 } else { 0 })
        }
    }
    let dead = Lora::open(Location::file("far.safetensors", Content::reader(Failing(1 << 30)).expect("a length"))).expect_err("dead");
    assert!(matches!(&dead, Error::Io { .. }) && dead.to_string().contains("the line is dead"), "{dead}");
}
