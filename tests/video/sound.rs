//! Sound that is copied beside the frames, and how frames are written.
#![cfg(feature = "mp4")]

use std::fs;
use std::path::Path;

use shiguredo_mp4::TrackKind;
use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};
use wan_animate::video::{Audio, Effort, Frame, Frames, VideoOptions, VideoWriter};

use super::containers::file;
use super::files::{picture, refusal};

/// The packets of a file's sound: when they begin by the track's own clock, in seconds, and their bytes.
fn packets(path: &Path) -> Vec<(f64, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let mut demuxer = Mp4FileDemuxer::new();
    demuxer.handle_input(Input { position: 0, data: &bytes });
    let mut packets = Vec::new();
    while let Some(sample) = demuxer.next_sample().unwrap() {
        if sample.track.kind == TrackKind::Audio {
            let at = sample.timestamp as f64 / f64::from(sample.track.timescale.get());
            let data = sample.data_offset as usize;
            packets.push((at, bytes[data..data + sample.data_size].to_vec()));
        }
    }
    packets
}

/// The entries of the sound's edit list: duration, and where it begins in the track, each in its own ticks.
fn edits(path: &Path) -> Vec<(u32, i32)> {
    let bytes = fs::read(path).unwrap();
    // The frames' track comes before.
    let list = bytes.windows(4).rposition(|window| window == b"elst").unwrap() + 8;
    let word = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (0..word(list) as usize).map(|entry| (word(list + 4 + 12 * entry) as u32, word(list + 8 + 12 * entry))).collect()
}

fn write(path: &Path, num_frames: usize, options: &VideoOptions) {
    let mut writer = VideoWriter::create_with(path, 64, 48, 30.0, options).unwrap();
    (0..num_frames).for_each(|index| writer.write(&Frame::from(&picture(index, 64, 48))).unwrap());
    writer.finish().unwrap();
}

#[test]
fn sound_is_copied_and_cut_to_the_frames() {
    let folder = tempfile::tempdir().unwrap();
    for (source, names) in [("sound.mp4", &["a.mp4", "a.mov"][..]), ("sound.mov", &["b.mp4", "b.mov"]), ("sound_opus.mp4", &["c.mp4"])] {
        let audio = Audio::open(file(source)).unwrap().unwrap();
        // The same sound, in a sample entry that the reader of this test knows.
        let source = source.replace(".mov", ".mp4");
        let all = packets(&file(&source));
        for name in names {
            let path = folder.path().join(name);
            write(&path, 20, &VideoOptions::default().audio(audio.clone().skip(0.4)));
            let kept = packets(&path);
            assert!(kept.len() > 25, "{source} to {name}: {} packets of {}", kept.len(), all.len());
            let first = all.iter().position(|(_, data)| *data == kept[0].1).unwrap();
            assert!(kept.iter().zip(&all[first..]).all(|((_, kept), (_, data))| kept == data), "{source} to {name}: the same bits");
            // What is heard begins 0.4 s into the source, behind what its own encoder put in front, and lasts 20 frames.
            let [(duration, begin)] = edits(&path)[..] else { panic!("one edit") };
            let own = edits(&file(&source)).last().unwrap().1;
            let heard = all[first].0 + f64::from(begin) / 48_000.0 - f64::from(own) / 48_000.0;
            assert!((heard - 0.4).abs() < 0.001, "{source} to {name}: {heard}");
            // In milliseconds or finer, by the frames' clock of 30,000.
            assert!(
                (f64::from(duration) / 30_000.0 - 20.0 / 30.0).abs() < 0.001
                    || (f64::from(duration) / 48_000.0 - 20.0 / 30.0).abs() < 0.001
            );
            let video = Frames::open(&path).unwrap();
            assert_eq!((video.num_frames(), video.fps()), (20, Some(30.0)));
            assert!(Audio::open(&path).unwrap().is_some());
        }
    }
}

#[test]
fn sound_that_begins_late_or_is_missing_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let late = Audio::open(file("sound_late.mp4")).unwrap().unwrap();
    write(&path, 30, &VideoOptions::default().audio(late.clone()));
    let [(silence, -1), (heard, _)] = edits(&path)[..] else { panic!("silence and sound") };
    let ratio = f64::from(silence) / f64::from(silence + heard);
    assert!((ratio - 0.4).abs() < 0.025, "{ratio}");
    // Frames that end before it.
    write(&path, 5, &VideoOptions::default().audio(late));
    assert!(packets(&path).is_empty());
    assert!(Audio::open(file("bframes.mp4")).unwrap().is_none());
    assert!(Audio::open(file("animated.gif")).unwrap().is_none());
    assert!(Audio::open(folder.path()).unwrap().is_none());
    assert!(refusal(Audio::open(file("vp9.webm"))).contains("is not copied"));
}

#[test]
fn files_without_sound_are_written_where_none_fits() {
    let folder = tempfile::tempdir().unwrap();
    let opus = Audio::open(file("sound_opus.mp4")).unwrap();
    let path = folder.path().join("a.mov");
    write(&path, 3, &VideoOptions::default().audio(opus.clone()));
    assert!(packets(&path).is_empty(), "MOV holds no Opus");
    write(&folder.path().join("a.gif"), 3, &VideoOptions::default().audio(opus));
}

#[test]
fn quality_and_effort_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, options: VideoOptions| {
        let path = folder.path().join(name);
        write(&path, 8, &options);
        let video = Frames::open(&path).unwrap();
        let errors = (0..8).flat_map(|index| {
            let (got, want) = (video.read(index).unwrap(), picture(index, 64, 48));
            got.as_raw().iter().zip(want.as_raw()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).collect::<Vec<_>>()
        });
        let errors: Vec<f64> = errors.collect();
        10.0 * (255.0 * 255.0 * errors.len() as f64 / errors.iter().sum::<f64>()).log10()
    };
    for name in ["a.mp4", "a.mov"] {
        let steps = [1, 25, 50, 75, 100].map(|quality| written(name, VideoOptions::default().quality(quality)));
        assert!(steps.is_sorted_by(|psnr, better| psnr + 1.0 < *better), "{name}: {steps:?}");
    }
    // More effort is never to be seen.
    let efforts = [Effort::Fast, Effort::Balanced, Effort::Small].map(|effort| written("e.mp4", VideoOptions::default().effort(effort)));
    assert!(efforts.iter().all(|psnr| (psnr - efforts[0]).abs() < 1.0), "{efforts:?}");
    assert_eq!("small".parse::<Effort>().unwrap(), Effort::Small);
    assert!(refusal("slow".parse::<Effort>()).contains("fast, balanced or small"));
}
